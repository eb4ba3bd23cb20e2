// The items of an evaluation: searched, sorted, filtered, and drawn a page at a time. The data stand in the page as JSON.
"use strict";
(() => {
  const { element, formatNumber } = gptkitElements;
  const PAGE = 25;

  const count = number => number.toLocaleString("en");
  const heading = text => element("h3", { textContent: text });

  // A list of names and values, such as the scores of an item.
  function facts(pairs) {
    return element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
  }

  const plain = value => (typeof value === "string" ? value : Array.isArray(value) && value.every(each => typeof each === "string") ? value.join("\n") : JSON.stringify(value, null, 1));

  class Items {
    constructor(box, data) {
      Object.assign(this, { box, data, place: 0, shown: data.items });
      data.items.forEach((item, index) => { item.index = index; });
      this.addControls();
      this.list = element("div", { className: "list" });
      this.pager = element("nav", { className: "pager" });
      this.pager.setAttribute("aria-label", "Pages of items");
      box.append(this.list, this.pager);
      this.update();
    }

    // ---- what is shown

    value(item) {
      return this.data.main < 0 ? null : item.scores[this.data.main];
    }

    orders() {
      const byScore = (index, sign) => (a, b) => sign * ((a.scores[index] ?? Infinity) - (b.scores[index] ?? Infinity));
      const byLogProb = sign => (a, b) => sign * ((a.logProb ?? Infinity) - (b.logProb ?? Infinity));
      const { scores, main, items } = this.data, hasLogProb = items.some(item => item.logProb !== null);
      const known = ["accuracy", "correct", "exact_match", "f1", "bleu", "uses_word"].includes(scores[main]) || scores[main]?.startsWith("rouge") || this.data.isBinary;
      const worst = known ? (a, b) => byScore(main, 1)(a, b) || byLogProb(1)(a, b) : hasLogProb ? byLogProb(1) : byScore(main, 1);
      const orders = [["worst first", worst], ["best first", (a, b) => -worst(a, b)], ["order of the task", () => 0]];
      scores.forEach((name, index) => orders.push([`${name}, lowest first`, byScore(index, 1)], [`${name}, highest first`, byScore(index, -1)]));
      if (hasLogProb) orders.push(["log-probability, lowest first", byLogProb(1)], ["log-probability, highest first", byLogProb(-1)]);
      return orders;
    }

    filters() {
      const { items, isBinary } = this.data, filters = [["all items", () => true]];
      if (isBinary) filters.push(["wrong", item => this.value(item) === 0], ["right", item => this.value(item) === 1]);
      filters.push(["truncated", item => item.requests.some(request => request.truncated)]);
      for (const status of ["clean", "dirty", "undecided"]) filters.push([status, item => item.overlap?.status === status]);
      return filters.map(([name, test]) => [name, test, items.filter(test).length]).filter(([name, , number]) => number && (name === "all items" || number < items.length || isBinary));
    }

    // The texts of an item that a search looks at: not the examples in context, which many items share.
    own(item) {
      const indices = item.requests.flatMap(request => [request.context?.[request.context.length - 1], request.text, request.answer]);
      return indices.filter(index => index !== undefined);
    }

    matching(words) {
      if (!words.length) return null;
      this.lower ??= this.data.strings.map(text => text.toLowerCase());
      const sets = words.map(word => new Set(this.lower.flatMap((text, index) => (text.includes(word) ? [index] : []))));
      return item => {
        const own = this.own(item), rest = [item.id, plain(item.target ?? ""), ...item.requests.flatMap(request => (request.text === undefined && request.tokens ? [request.tokens.join("")] : []))].join("\n").toLowerCase();
        return words.every((word, number) => rest.includes(word) || own.some(index => sets[number].has(index)));
      };
    }

    update() {
      clearTimeout(this.waiting);  // a later update would close what was opened in the meantime
      const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean), matches = this.matching(words);
      const test = this.tests[Number(this.filter.value)][1], order = this.rules[Number(this.order.value)][1];
      this.shown = this.data.items.filter(item => test(item) && (!matches || matches(item)));
      this.shown.sort((a, b) => order(a, b) || a.index - b.index);
      const all = this.data.items.length;
      this.status.textContent = this.shown.length === all ? `${count(all)} items` : `${count(this.shown.length)} of ${count(all)} items`;
      this.show(0);
    }

    show(place) {
      const last = Math.max(0, Math.ceil(this.shown.length / PAGE) - 1);
      this.place = Math.max(0, Math.min(place, last));
      const begin = this.place * PAGE;
      this.list.replaceChildren(...this.shown.slice(begin, begin + PAGE).map(item => this.row(item)));
      if (!this.shown.length) this.list.append(element("p", { textContent: "No item matches." }));
      this.drawPager(last);
    }

    // ---- controls

    addControls() {
      const select = (name, options) => {
        const node = element("select", {}, ...options.map((option, index) => element("option", { value: index, textContent: option })));
        node.addEventListener("change", () => this.update());
        return [node, element("label", {}, name, node)];
      };
      this.rules = this.orders();
      this.tests = this.filters();
      const [order, orderLabel] = select("Sort ", this.rules.map(([name]) => name));
      const [filter, filterLabel] = select("Show ", this.tests.map(([name, , number]) => `${name} (${count(number)})`));
      this.search = element("input", { type: "search", placeholder: "words of an item" });
      this.status = element("span", { className: "remark" });
      this.status.setAttribute("role", "status");
      this.search.addEventListener("input", () => { clearTimeout(this.waiting); this.waiting = setTimeout(() => this.update(), 120); });
      Object.assign(this, { order, filter });
      const bar = element("div", { className: "item-bar" }, element("label", {}, "Search ", this.search), orderLabel, filterLabel, this.status);
      if (this.data.items.some(item => item.requests.some(request => request.tokens))) bar.append(gptkitTokens.legend());
      this.box.append(bar);
    }

    drawPager(last) {
      this.pager.hidden = last === 0;
      const go = (text, place, isPossible) => {
        const button = element("button", { type: "button", textContent: text, disabled: !isPossible });
        button.addEventListener("click", () => { this.show(place); this.box.scrollIntoView({ block: "start" }); [...this.pager.children].find(each => each.textContent === text && !each.disabled)?.focus({ preventScroll: true }); });
        return button;
      };
      const number = element("input", { type: "number", min: 1, max: last + 1, value: this.place + 1 });
      number.setAttribute("aria-label", "Page");
      number.addEventListener("change", () => { this.show(Number(number.value) - 1); this.box.scrollIntoView({ block: "start" }); });
      this.pager.replaceChildren(
        go("First", 0, this.place > 0), go("Previous", this.place - 1, this.place > 0),
        element("span", {}, "Page ", number, ` of ${count(last + 1)}`),
        go("Next", this.place + 1, this.place < last), go("Last", last, this.place < last),
      );
    }

    // ---- one item

    text(index) {
      return this.data.strings[index];
    }

    snippet(item) {
      const request = item.requests[Number.isInteger(item.target) && item.target >= 0 && item.target < item.requests.length ? item.target : 0];
      const context = request?.context ? this.text(request.context[request.context.length - 1]).trim() : "";
      const text = context || (request?.text !== undefined ? this.text(request.text) : (request?.tokens ?? []).slice(0, 80).join(""));
      return text.replace(/\s+/g, " ").trim().slice(0, 240);
    }

    row(item) {
      const mark = element("span", { className: "mark" }), value = this.value(item);
      if (this.data.isBinary) {
        mark.classList.add(value ? "right" : "wrong");
        mark.append(element("span", { textContent: value ? "✓" : "✗", ariaHidden: "true" }), element("span", { className: "hidden", textContent: value ? "right" : "wrong" }));
      }
      const meta = [];
      if (!this.data.isBinary && value !== null && !this.data.scores[this.data.main].endsWith("log_prob")) meta.push(`${this.data.scores[this.data.main]} ${formatNumber(value)}`);
      if (item.logProb !== null) meta.push(`log p/token ${formatNumber(item.logProb, 3)}`);
      if (item.overlap) meta.push(item.overlap.status);
      const summary = element("summary", {}, mark, element("span", { className: "number", textContent: `#${item.index + 1}` }),
        element("span", { className: "snippet", textContent: this.snippet(item) }), element("span", { className: "meta", textContent: meta.join(" · ") }));
      const row = element("details", { className: "item" }, summary);
      row.addEventListener("toggle", () => { if (row.open && row.children.length === 1) row.append(this.body(item)); });
      return row;
    }

    body(item) {
      const body = element("div", { className: "body" }), { requests } = item;
      const contexts = new Set(requests.map(request => JSON.stringify(request.context ?? null)));
      const isShared = contexts.size === 1 && requests.length > 1;
      if (isShared && requests[0].context) body.append(...this.context(requests[0].context));
      if (isShared) body.append(heading(requests.every(request => request.type === "loglikelihood") ? "Options" : "Answers"));
      requests.forEach((request, index) => body.append(this.request(item, request, index, isShared)));
      if (item.target !== null && !this.isOption(item)) body.append(heading(typeof item.target === "object" && !Array.isArray(item.target) ? "About the item" : "Right answer"), this.target(item.target));
      body.append(heading("Scores"), facts(this.data.scores.map((name, index) => [name, item.scores[index] === null ? "not defined" : formatNumber(item.scores[index], 5)])));
      if (item.overlap) body.append(...this.overlap(item.overlap));
      if (item.more) body.append(heading("More"), facts(Object.entries(item.more).map(([name, value]) => [name, plain(value)])));
      body.append(element("p", { className: "remark", textContent: `Item ${item.id}` }));
      return body;
    }

    isOption(item) {
      return Number.isInteger(item.target) && item.requests.length > 1 && item.target >= 0 && item.target < item.requests.length;
    }

    target(target) {
      if (typeof target === "object" && !Array.isArray(target)) return facts(Object.entries(target).map(([name, value]) => [name, plain(value)]));
      return element("p", { className: "text", textContent: plain(target) });
    }

    // The examples of a context, folded, and what follows them.
    context(pieces, name = "Context") {
      const parts = pieces.map(index => this.text(index)), own = parts.pop(), nodes = [];
      if (parts.length) {
        const examples = element("details", { className: "examples" }, element("summary", { textContent: "Examples in context" }));
        examples.addEventListener("toggle", () => { if (examples.open && examples.children.length === 1) examples.append(this.scrolling(parts.join(this.data.separator), "Examples in context")); });
        nodes.push(examples);
      }
      return [heading(name), ...nodes, this.scrolling(own || "(empty)", name)];
    }

    // A text that is read with the keyboard, too, if it is so long that it scrolls.
    scrolling(text, name) {
      const node = element("p", { className: "text", textContent: text });
      if (text.length > 600) { node.tabIndex = 0; node.setAttribute("role", "region"); node.setAttribute("aria-label", name); }
      return node;
    }

    request(item, request, index, isShared) {
      const box = element("div", { className: "option" }), line = element("div", { className: "facts-line" });
      if (!isShared && request.context) box.append(...this.context(request.context, request.type === "generate" ? "Prompt" : "Context"));
      if (this.isOption(item)) {
        const isRight = index === item.target, isChosen = index === item.chosen;
        if (isRight) { box.classList.add("right"); line.append(element("span", { className: "tag right", textContent: "right answer" })); }
        if (isChosen) { box.classList.add("chosen", isRight ? "right" : "wrong"); line.append(element("span", { className: `tag ${isRight ? "right" : "wrong"}`, textContent: "chosen by the model" })); }
      }
      if (request.logProbs) {
        const tokens = request.logProbs.length;
        line.append(element("span", { textContent: `log-probability ${formatNumber(request.logProb, 5)}` }), element("span", { textContent: `${formatNumber(request.logProb / tokens, 3)} per token` }), element("span", { textContent: `${count(tokens)} token${tokens === 1 ? "" : "s"}` }));
        if (request.isGreedy) line.append(element("span", { textContent: "the most probable continuation" }));
      }
      if (request.truncated) line.append(element("span", { className: "tag", textContent: `${count(request.truncated)} tokens truncated on the left` }));
      if (!isShared && request.type === "loglikelihood") box.append(heading("Continuation"));
      if (request.tokens) box.append(gptkitTokens.view(request.tokens, request.logProbs, request.type === "rolling" ? "Text" : "Continuation"));
      else if (request.text !== undefined) box.append(this.scrolling(this.text(request.text), "Continuation"));
      if (request.answer !== undefined) box.append(heading("Answer of the model"), this.scrolling(this.text(request.answer) || "(empty)", "Answer of the model"));
      if (request.more) box.append(facts(Object.entries(request.more).map(([name, value]) => [name, plain(value)])));
      if (line.children.length) box.append(line);
      return box;
    }

    overlap(overlap) {
      const share = overlap.share === null ? "" : ` (${formatNumber(100 * overlap.share, 3)}%)`;
      const place = document => `document ${count(document.number)} of ${document.source}${document.tokens ? `, tokens ${document.tokens.map(count).join(" to ")}` : ""}`;
      const rows = [["status", overlap.status], ["shared sequences", `${count(overlap.matched)} of ${count(overlap.ngrams)} sequences of ${overlap.n} words${share}`]];
      if (overlap.longest) rows.push(["longest match", `${count(overlap.longest.words)} words in ${place(overlap.longest.document)}: “${overlap.longest.text}”`]);
      if (overlap.documents?.length) rows.push(["documents", overlap.documents.map(each => `${place(each.document)}: ${count(each.ngrams)} sequence${each.ngrams === 1 ? "" : "s"}`).join("\n")]);
      if (overlap.document_count > (overlap.documents?.length ?? 0)) rows.push(["", `${count(overlap.document_count)} documents in all`]);
      return [heading("Training text"), facts(rows)];
    }
  }

  for (const box of document.querySelectorAll(".items")) new Items(box, JSON.parse(box.querySelector(".item-data").textContent));
})();
