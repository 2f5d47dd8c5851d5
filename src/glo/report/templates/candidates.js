"use strict";
// The page works without this script; it adds the sorting and filters of the table of candidates, and the curves of each.
(() => {
  const { find, make, refresh: refreshPage } = window.glo;

  // --- the table of candidates ---
  const PAGE = 25;
  const form = find("#filter"), body = find("#table tbody"), heads = [...document.querySelectorAll("#table th[data-column]")];
  let candidates = [], byNumber = new Map(), order = { column: null, sign: 1 }, first = 0, shown = [];
  const shortest = (value) => (value === null ? "" : String(+value.toPrecision(6)));
  const digits = (value) => (value === null ? "" : value.toFixed(4));

  const fillRow = (each) => {
    const row = make("tr"), open = make("button", "", { type: "button", class: "open", "data-open": each.number });
    open.append(make("code", each.expression));
    const cell = make("td");
    cell.append(open);
    row.append(
      make("td", digits(each.fitness), { class: "n" }), make("td", each.size || "", { class: "n" }), cell, make("td", each.status),
      make("td", shortest(each.rate), { class: "n" }), make("td", each.generation, { class: "n" }), make("td", each.phase),
    );
    return row;
  };
  const fill = () => {
    body.replaceChildren(...shown.slice(first, first + PAGE).map(fillRow));
    const count = shown.length.toLocaleString("en"), all = candidates.length.toLocaleString("en");
    find("#count").textContent = shown.length < candidates.length ? `${count} of ${all} candidates` : `${all} candidates`;
    find("#place").textContent = shown.length
      ? `${first + 1} to ${Math.min(first + PAGE, shown.length)} of ${count}` : "no candidate passes the filter";
    find("#previous").disabled = first === 0;
    find("#next").disabled = first + PAGE >= shown.length;
  };
  const compare = (a, b) => {
    const [left, right] = [a[order.column], b[order.column]];
    if (left === null || right === null) return (left === null) - (right === null);  // those without a value come last
    return order.sign * (typeof left === "number" ? left - right : left < right ? -1 : left > right ? 1 : 0);
  };
  const refresh = (from = 0) => {
    const text = form.text.value.replaceAll(" ", ""), { status, phase, once } = form;
    shown = candidates.filter((each) =>
      (!once.checked || each.once) && (!text || each.expression.replaceAll(" ", "").includes(text))
      && (!status.value || each.status === status.value) && (!phase.value || each.phase === phase.value));
    if (order.column) shown.sort(compare);
    first = from < shown.length ? from : 0;
    fill();
  };
  for (const head of heads) {
    const button = make("button", head.textContent, { type: "button" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = order.column === head.dataset.column ? -order.sign : head.dataset.column === "fitness" ? -1 : 1;
      order = { column: head.dataset.column, sign };
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      refresh();
    });
  }
  const load = () => {  // the candidates, from the data of the page
    const { texts, rows } = JSON.parse(find("#data").textContent);
    candidates = rows.map(([number, generation, expression, fitness, size, rate, status, phase, reason, once, code]) => ({
      number, generation, expression, fitness, size, rate, status: texts[status], phase: texts[phase], reason: texts[reason], once, code,
    }));
    byNumber = new Map(candidates.map((each) => [each.number, each]));
    for (const name of ["status", "phase"]) {
      const known = new Set([...form[name].options].map((option) => option.value));
      for (const value of new Set(candidates.map((each) => each[name])))
        if (!known.has(value)) form[name].append(make("option", value, { value }));
    }
    form.hidden = find(".pages").hidden = candidates.length === 0;
    refresh(first);
  };
  form.addEventListener("input", () => refresh());
  form.addEventListener("submit", (event) => event.preventDefault());
  find("#previous").addEventListener("click", () => { first -= PAGE; fill(); });
  find("#next").addEventListener("click", () => { first += PAGE; fill(); });
  load();

  // --- the curves of a candidate, computed from its postfix instructions ---
  const UNARY = {
    log: Math.log, square: (a) => a * a, sqrt: Math.sqrt, abs: Math.abs, exp: Math.exp, tanh: Math.tanh, neg: (a) => -a,
  };
  const BINARY = {
    "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b,
    min: Math.min, max: Math.max, pow: Math.pow,
  };
  const evaluate = (code, x, y) => {
    const known = { x, y, prior: 0.1, progress: 0.5 }, stack = [];
    for (const word of code.split(" ")) {
      if (Object.hasOwn(BINARY, word)) {
        const right = stack.pop();
        stack.push(BINARY[word](stack.pop(), right));
      } else if (Object.hasOwn(UNARY, word)) stack.push(UNARY[word](stack.pop()));
      else stack.push(Object.hasOwn(known, word) ? known[word] : Number(word));
    }
    return stack[0];
  };
  const slope = (code, x, y) => (evaluate(code, x, y + 1e-6) - evaluate(code, x, y - 1e-6)) / 2e-6;

  const svg = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const regression = find("#candidate").dataset.link === "identity";
  const [LOW, HIGH] = regression ? [-3, 3] : [0.002, 0.998];
  const plot = (code, title, valueAt) => {
    const width = 300, height = 180, ys = Array.from({ length: 121 }, (_, n) => LOW + ((HIGH - LOW) * n) / 120);
    const lines = [[1, "found"], [0, "standard"]].map(([x, style]) => [style, ys.map((y) => valueAt(code, x, y))]);
    const inner = lines.flatMap(([, values]) => values.slice(10, -10)).filter(Number.isFinite).concat(0);
    let low = Math.min(...inner), high = Math.max(...inner);
    if (low === high) [low, high] = [low - 1, high + 1];
    const across = (y) => 45 + ((y - LOW) / (HIGH - LOW)) * (width - 50), up = (v) => 10 + (1 - (v - low) / (high - low)) * (height - 40);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label":
      `${title} by the prediction, between ${shortest(low)} and ${shortest(high)}` });
    for (const value of [low, 0, high]) {
      drawing.append(svg("path", { class: "grid", d: `M45 ${up(value)}H${width - 5}` }));
      if (value || low === 0 || high === 0 || (up(low) - up(0) > 14 && up(0) - up(high) > 14))
        drawing.append(svg("text", { class: "tick", x: 40, y: up(value) + 4, "text-anchor": "end" }, String(+value.toPrecision(2))));
    }
    drawing.append(svg("text", { class: "tick", x: 45, y: height - 12 }, regression ? "-3" : "y = 0"));
    drawing.append(svg("text", { class: "tick", x: width - 5, y: height - 12, "text-anchor": "end" }, regression ? "3" : "y = 1"));
    for (const [style, values] of lines) {
      let d = "", pen = "M";
      values.forEach((value, n) => {
        if (!(value >= low - (high - low) && value <= high + (high - low))) { pen = "M"; return; }
        d += `${pen}${across(ys[n]).toFixed(1)} ${Math.max(2, Math.min(height - 22, up(value))).toFixed(1)}`;
        pen = "L";
      });
      drawing.append(svg("path", { class: `line ${style}`, d }));
    }
    const figure = make("figure", "", { class: "chart" });
    figure.append(make("figcaption", title), drawing);
    return figure;
  };

  const dialog = find("#candidate");
  const show = (each) => {
    find("#candidate-title").textContent = each.expression;
    const formula = document.getElementById(`formula-${each.number}`);
    dialog.querySelector(".formula").replaceChildren(...(formula ? [formula.content.cloneNode(true)] : []));
    const facts = {
      fitness: digits(each.fitness), "learning rate": shortest(each.rate), nodes: each.size || "", status: each.status,
      why: each.reason, phase: each.phase, generation: each.generation, candidate: each.number,
    };
    dialog.querySelector("dl").replaceChildren(...Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => {
      const pair = make("div");
      pair.append(make("dt", name), make("dd", value));
      return pair;
    }));
    dialog.querySelector(".curves").replaceChildren(...(each.code
      ? [plot(each.code, "f: x = 1 solid, x = 0 dashed", evaluate), plot(each.code, "df/dy", slope)] : []));
    dialog.showModal();
  };
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]"), each = opener && byNumber.get(Number(opener.dataset.open));
    if (each) show(each);
    else if (event.target === dialog) dialog.close();
  });

  Object.assign(window.glo, { evaluate, slope, refresh: () => { refreshPage(); load(); } });
})();
