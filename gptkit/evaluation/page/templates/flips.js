// The items whose score differs between two results, a few at a time, with the tokens of both results side by side.
"use strict";
(() => {
  const { element, formatNumber } = gptkitElements;
  const PAGE = 20;
  const count = number => number.toLocaleString("en");
  const heading = text => element("h3", { textContent: text });

  class Flips {
    constructor(box, data) {
      Object.assign(this, { box, data, place: 0 });
      this.list = element("div");
      this.pager = element("nav", { className: "flip-pager" });
      this.pager.setAttribute("aria-label", "Pages of items");
      const rules = [["all", () => true], ["higher in b", item => item.scores[1] > item.scores[0]], ["lower in b", item => item.scores[1] < item.scores[0]]];
      this.rules = rules.map(([name, test]) => [name, test, data.items.filter(test).length]);
      this.filter = element("select", {}, ...this.rules.map(([name, , number], index) => element("option", { value: index, textContent: `${name} (${count(number)})` })));
      this.filter.addEventListener("change", () => this.show(0));
      const bar = element("div", { className: "flip-bar" }, element("label", {}, "Show ", this.filter));
      if (data.items.some(item => item.requests.some(request => request.answers.some(answer => answer?.tokens)))) bar.append(gptkitTokens.legend());
      box.append(bar, this.list, this.pager);
      this.show(0);
    }

    show(place) {
      const items = this.data.items.filter(this.rules[Number(this.filter.value)][1]), last = Math.max(0, Math.ceil(items.length / PAGE) - 1);
      this.place = Math.max(0, Math.min(place, last));
      this.list.replaceChildren(...items.slice(this.place * PAGE, (this.place + 1) * PAGE).map(item => this.row(item)));
      if (!items.length) this.list.append(element("p", { textContent: "No item." }));
      this.pager.hidden = last === 0;
      const go = (text, target, isPossible) => {
        const button = element("button", { type: "button", textContent: text, disabled: !isPossible });
        button.addEventListener("click", () => { this.show(target); this.box.scrollIntoView({ block: "start" }); });
        return button;
      };
      this.pager.replaceChildren(go("Previous", this.place - 1, this.place > 0), element("span", { textContent: `Page ${count(this.place + 1)} of ${count(last + 1)}` }), go("Next", this.place + 1, this.place < last));
    }

    snippet(item) {
      const [request] = item.requests, [answer] = request.answers;
      return (request.contexts[0] || answer?.text || (answer?.tokens ?? []).slice(0, 60).join("")).replace(/\s+/g, " ").trim().slice(-200);
    }

    row(item) {
      const change = `${this.data.score} ${formatNumber(item.scores[0], 4)} → ${formatNumber(item.scores[1], 4)}`;
      const row = element("details", { className: "flip" }, element("summary", {}, element("span", { className: "change", textContent: change }), element("span", { className: "snippet", textContent: this.snippet(item) })));
      row.addEventListener("toggle", () => { if (row.open && row.children.length === 1) row.append(this.body(item)); });
      return row;
    }

    body(item) {
      const body = element("div", { className: "body" });
      let shown = null;
      item.requests.forEach((request, index) => {
        const contexts = JSON.stringify(request.contexts);
        if (contexts !== shown) request.contexts.forEach((context, side) => { if (context) body.append(heading(request.contexts.length > 1 ? `Context in ${"ab"[side]}` : "Context"), element("p", { className: "text", textContent: context })); });
        shown = contexts;
        const isRight = Number.isInteger(item.target) && item.requests.length > 1 && index === item.target;
        const sides = element("div", { className: "sides" }, this.side("a", request.answers[0]), this.side("b", request.answers[1]));
        if (isRight) { sides.classList.add("right"); sides.prepend(element("strong", { textContent: "right answer" }), element("span")); }
        body.append(sides);
      });
      if (item.target !== null && !(Number.isInteger(item.target) && item.requests.length > 1)) body.append(heading("Target"), element("p", { className: "text", textContent: typeof item.target === "string" ? item.target : JSON.stringify(item.target) }));
      body.append(element("p", { className: "remark", textContent: `Item ${item.id}` }));
      return body;
    }

    side(name, answer) {
      const side = element("div", { className: "side" });
      if (!answer) return side;
      const total = answer.logProbs ? answer.logProbs.reduce((sum, value) => sum + value, 0) : answer.logProb;
      side.append(element("p", { className: "remark", textContent: total === undefined ? name : `${name}: log-probability ${formatNumber(total, 5)}` }));
      side.append(answer.tokens ? gptkitTokens.view(answer.tokens, answer.logProbs, `Text in ${name}`) : element("p", { className: "text", textContent: answer.text || "(empty)" }));
      return side;
    }
  }

  for (const box of document.querySelectorAll(".flips")) new Flips(box, JSON.parse(box.querySelector(".flip-data").textContent));
})();
