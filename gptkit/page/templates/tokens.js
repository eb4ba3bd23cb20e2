// Shows the tokens of a text, coloured by their log-probability. Pointer, focus and arrow keys read the numbers.
"use strict";
const gptkitTokens = (() => {
  const { element, formatNumber } = gptkitElements;
  const LEVELS = [0.5, 0.1, 0.01, 0.001, 0.0001], CHUNK = 2000;

  // 0: as likely as not, or more; 5: less likely than 1 in 10,000.
  function level(logProb) {
    const index = LEVELS.findIndex(probability => logProb >= Math.log(probability));
    return index < 0 ? LEVELS.length : index;
  }

  function formatProbability(logProb) {
    const probability = Math.exp(logProb);
    if (probability >= 0.001) return `${+(100 * probability).toPrecision(3)}%`;
    return logProb < -700 ? "below 1 in 10^304" : `1 in ${formatNumber(Math.exp(-logProb), 3)}`;
  }

  // White space that would be invisible gets a mark; a token that ends inside a character has no text.
  function visible(text) {
    if (text === "") return "·";
    return text.replace(/\r?\n/g, "⏎$&").replace(/\t/g, "⇥$&").replace(/[\u2028\u2029\v\f]/g, "⏎");
  }

  function describe(tokens, logProbs, index) {
    const text = tokens[index] === "" ? "part of a character" : JSON.stringify(tokens[index]);
    return `${text}: log-probability ${formatNumber(logProbs[index], 4)}, probability ${formatProbability(logProbs[index])} (token ${index + 1} of ${tokens.length})`;
  }

  // Returns an element that shows the tokens. `label` names the text for screen readers.
  function view(tokens, logProbs, label) {
    const text = element("div", { className: "tokens", tabIndex: 0 }), tip = element("div", { className: "tip", hidden: true });
    const box = element("div", { className: "token-view" }, text, tip);
    let shown = 0, current = -1;
    text.setAttribute("role", "group");
    text.setAttribute("aria-label", `${label}: ${tokens.length} token${tokens.length === 1 ? "" : "s"}. Arrow keys read the probability of each.`);
    tip.setAttribute("role", "status");

    function append() {
      const end = Math.min(shown + CHUNK, tokens.length);
      for (; shown < end; shown++) {
        const token = element("span", { className: `token p${level(logProbs[shown])}`, textContent: visible(tokens[shown]) });
        token.dataset.index = shown;
        text.append(token);
      }
    }

    function point(index) {
      text.children[current]?.classList.remove("current");
      current = index;
      const token = text.children[index];
      tip.hidden = !token;
      if (!token) return;
      token.classList.add("current");
      tip.textContent = describe(tokens, logProbs, index);
      const [rect] = token.getClientRects(), own = box.getBoundingClientRect();
      if (!rect) return;
      tip.style.left = `${Math.max(0, Math.min(rect.left - own.left, own.width - tip.offsetWidth))}px`;
      tip.style.top = `${rect.bottom - own.top + 4}px`;
    }

    const pointed = event => { const token = event.target.closest(".token"); if (token) point(Number(token.dataset.index)); };
    text.addEventListener("mouseover", pointed);
    text.addEventListener("click", pointed);
    text.addEventListener("mouseleave", () => point(-1));
    text.addEventListener("blur", () => point(-1));
    text.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) point(Math.max(0, Math.min(current < 0 && step < 0 ? shown - 1 : current + step, shown - 1)));
      else if (event.key === "Escape") point(-1);
      else return;
      event.preventDefault();
    });
    append();
    if (shown < tokens.length) {
      const more = element("button", { type: "button" });
      const name = () => { more.textContent = `Show ${Math.min(CHUNK, tokens.length - shown).toLocaleString("en")} more of ${tokens.length.toLocaleString("en")} tokens`; };
      more.addEventListener("click", () => { append(); if (shown < tokens.length) name(); else more.remove(); });
      name();
      box.append(more);
    }
    return box;
  }

  // Returns an element that explains the colours.
  function legend() {
    const names = LEVELS.map(probability => (probability >= 0.01 ? `≥ ${100 * probability}%` : `≥ 1 in ${(1 / probability).toLocaleString("en")}`));
    names.push("less");
    const list = element("ul", { className: "token-legend" });
    list.setAttribute("aria-label", "Colours of tokens, by probability");
    list.append(...names.map((name, index) => element("li", {}, element("span", { className: `token p${index}`, textContent: name }))));
    return list;
  }

  return { describe, formatProbability, legend, level, view };
})();
