// Makes tables sortable by their headings and adds a field that filters their rows. Without this script they are plain tables.
"use strict";
(() => {
  function sortValue(row, column) {
    const cell = row.cells[column], text = cell.textContent.trim();
    const number = cell.dataset.sort !== undefined ? Number(cell.dataset.sort) : text === "" ? NaN : Number(text);
    return Number.isNaN(number) ? text : number;
  }

  function compare(a, b) { // numbers before texts, empty cells last
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
    return typeof a === "number" ? -1 : 1;
  }

  function sort(table, column) {
    const headings = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const isAscending = headings[column].getAttribute("aria-sort") !== "ascending";
    headings.forEach((heading, i) => (i === column ? heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending") : heading.removeAttribute("aria-sort")));
    const rows = [...body.rows].map(row => [sortValue(row, column), row]);
    rows.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : isAscending ? compare(a, b) : compare(b, a)));
    body.append(...rows.map(([, row]) => row));
  }

  for (const box of document.querySelectorAll(".sortable")) {
    const table = box.querySelector("table"), rows = [...table.tBodies[0].rows], name = box.dataset.name;
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: heading.textContent });
      button.addEventListener("click", () => sort(table, column));
      heading.replaceChildren(button);
    });
    if (rows.length < 2) continue;
    const bar = Object.assign(document.createElement("div"), { className: "filter" });
    const label = document.createElement("label"), status = document.createElement("span");
    const input = Object.assign(document.createElement("input"), { type: "search", placeholder: "words of a row" });
    status.setAttribute("role", "status");
    label.append("Filter ", input);
    input.setAttribute("aria-label", `Filter: ${name}`);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const matching = rows.filter(row => words.every(word => row.textContent.toLowerCase().includes(word)));
      rows.forEach(row => { row.hidden = !matching.includes(row); });
      status.textContent = words.length ? `${matching.length} of ${rows.length} rows; the charts show the same runs` : "";
      gptkitCharts.showOnly(words.length ? new Set(matching.map(row => row.dataset.series)) : null);
    });
    bar.append(label, status);
    box.prepend(bar);
  }
})();
