// The explorer page: reads the text field, draws three charts, and says in words what they show.
"use strict";

(() => {
  const page = document.getElementById("glo-explorer");
  if (!page) return;
  const { ExpressionError, parse, evaluate, sampleLoss, minimum, obstacle } = globalThis.GloExpressions;
  const SVG = "http://www.w3.org/2000/svg";
  const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [360, 230, 46, 34, 10];
  const text = page.querySelector("input[type=text]");
  const classes = page.querySelector("input[type=number]");
  const message = page.querySelector("[role=alert]");
  const facts = page.querySelector("dl");
  const charts = page.querySelector(".glo-charts");
  const YS = Array.from({ length: 199 }, (_, k) => (k + 1) / 200);

  function element(name, attributes = {}, content = "") {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = content;
    return made;
  }

  const short = (value) => (Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(3))));

  // The limits of the middle 90 % of the values, so that a pole does not flatten the rest.
  function range(curves) {
    const values = curves.flatMap(({ at }) => at).filter(Number.isFinite).sort((a, b) => a - b);
    if (!values.length) return [-1, 1];
    const [low, high] = [values[Math.floor(0.05 * values.length)], values[Math.ceil(0.95 * values.length) - 1]];
    const room = 0.08 * (high - low) || 1;
    return [low - room, high + room];
  }

  function chart(title, axis, curves, marked) {
    const [low, high] = range(curves);
    const across = (y) => LEFT + y * (WIDTH - LEFT - 8);
    const up = (value) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
    for (const value of [low, (low + high) / 2, high]) {
      svg.append(element("text", { x: LEFT - 5, y: up(value) + 4, "text-anchor": "end" }, short(value)));
    }
    for (const y of [0, 0.5, 1]) svg.append(element("text", { x: across(y), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, String(y)));
    svg.append(element("text", { x: across(0.5), y: HEIGHT - 4, "text-anchor": "middle" }, axis));
    svg.append(element("rect", { x: LEFT, y: TOP, width: WIDTH - LEFT - 8, height: HEIGHT - TOP - BOTTOM, class: "frame" }));
    if (low < 0 && high > 0) svg.append(element("line", { x1: LEFT, x2: WIDTH - 8, y1: up(0), y2: up(0), class: "zero" }));
    if (marked !== undefined && marked !== null) {
      svg.append(element("line", { x1: across(marked), x2: across(marked), y1: TOP, y2: HEIGHT - BOTTOM, class: "marked" }));
    }
    curves.forEach(({ at, kind }) => svg.append(element("path", { d: path(at, across, up, low, high), class: kind })));
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    figure.append(caption, svg);
    return figure;
  }

  function path(values, across, up, low, high) {
    let [d, drawing] = ["", false];
    values.forEach((value, k) => {
      const inside = value >= low && value <= high;
      if (inside) d += `${drawing ? "L" : "M"}${across(YS[k]).toFixed(1)},${up(value).toFixed(1)}`;
      drawing = inside;
    });
    return d;
  }

  function fact(term, meaning) {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    [dt.textContent, dd.textContent] = [term, meaning];
    facts.append(dt, dd);
  }

  function push(expr, count) {
    const y = 1 / count;
    const context = { prior: y };
    return y * (1 - y) * (evaluate(expr, 1, y, context)[1] - evaluate(expr, 0, y, context)[1]);
  }

  function describe(expr, count) {
    const reason = obstacle(expr, count);
    const lowest = minimum(expr, count);
    const force = push(expr, count);
    fact("Can it train?", reason ? `No: ${reason}.` : "It seems so: going down this loss makes wrong decisions right.");
    fact(
      "At the start",
      Number.isFinite(force)
        ? `Where all ${count} classes have the probability ${short(1 / count)}, it pushes the output of the right class ` +
            `${force > 0 ? "up" : force < 0 ? "down" : "nowhere"} by ${short(Math.abs(force))}; cross-entropy by ${short(1 - 1 / count)}.`
        : "Its slope is not finite where all classes have the same probability.",
    );
    fact(
      "Smallest",
      lowest === null
        ? "It has no minimum."
        : `Where the right class has the probability ${lowest.toFixed(4)}. ${lowest > 0.9999 ? "It always wants to be surer." : "It does not want to be surer than that."}`,
    );
    return lowest;
  }

  function show() {
    facts.replaceChildren();
    charts.replaceChildren();
    message.textContent = "";
    const count = Math.min(Math.max(Math.round(Number(classes.value)) || 10, 2), 1000);
    try {
      const expr = parse(text.value);
      const context = { prior: 1 / count };
      const [right, wrong] = [1, 0].map((x) => YS.map((y) => evaluate(expr, x, y, context)));
      const lowest = describe(expr, count);
      charts.append(
        chart("f(1, y), solid, and f(0, y), dashed", "y", [{ at: right.map(([f]) => f), kind: "right" }, { at: wrong.map(([f]) => f), kind: "wrong" }]),
        chart("Slopes df/dy: x = 1 solid, x = 0 dashed", "y", [{ at: right.map(([, slope]) => slope), kind: "right" }, { at: wrong.map(([, slope]) => slope), kind: "wrong" }]),
        chart(`Loss of a sample, ${count} classes, and its minimum`, "probability of the right class", [{ at: YS.map((y) => sampleLoss(expr, count, y)), kind: "right" }], lowest),
      );
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      message.textContent = error.message;
    }
  }

  page.addEventListener("input", show);
  page.addEventListener("click", (event) => {
    if (event.target.matches("button")) {
      text.value = event.target.textContent;
      show();
    }
  });
  page.hidden = false;
  show();
})();
