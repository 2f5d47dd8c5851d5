// Expressions in the browser: parse, evaluate with the derivative, and check whether a loss can train.
// The operators come from language.js, which the build makes from glo's own table.  Nothing that a user types is run as code.
"use strict";

(() => {
  const { operators, limits, points, names } = globalThis.GLO_LANGUAGE;
  const LEAVES = ["x", "y", "prior", "progress"];
  const TOKEN = /\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*\/(),]))/y;
  const LOG_ZERO = -1e9; // as glo counts log(0)

  class ExpressionError extends Error {}

  // A node is {symbol, children}; a number has its value too.
  const node = (symbol, ...children) => ({ symbol, children });
  const number = (value) => ({ symbol: String(value), children: [], value });

  function tokens(text) {
    const found = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const at = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (!match) throw new ExpressionError(`${JSON.stringify(text.slice(at).trim()[0])} is not allowed here`);
      found.push({ number: match[1], name: match[2], sign: match[3] });
    }
    return found;
  }

  // The grammar of Python: sum, product, sign, power, atom.
  function parse(text) {
    if (text.length > limits.length) throw new ExpressionError("the expression is too long");
    if (Object.hasOwn(names, text.trim())) text = names[text.trim()];
    const rest = tokens(text);
    if (!rest.length) throw new ExpressionError("type an expression such as x*log(y)");
    let count = 0;
    let depth = 0;

    const take = (...signs) => (rest.length && signs.includes(rest[0].sign) ? rest.shift().sign : null);
    const expect = (sign) => {
      if (!take(sign)) throw new ExpressionError(`'${sign}' is missing`);
    };
    const made = (result) => {
      if (++count > limits.nodes) throw new ExpressionError(`more than ${limits.nodes} nodes`);
      return result;
    };
    const infix = (signs, below) => () => {
      let left = below();
      for (let sign = take(...signs); sign; sign = take(...signs)) left = made(node(sign, left, below()));
      return left;
    };
    const nested = (reader) => {
      if (++depth > limits.depth) throw new ExpressionError(`deeper than ${limits.depth}`);
      const result = reader();
      depth--;
      return result;
    };

    const sum = () => nested(infix(["+", "-"], product));
    const product = infix(["*", "/"], sign);
    function sign() {
      if (take("+")) return nested(sign);
      if (!take("-")) return power();
      const isNumber = rest.length && rest[0].number !== undefined && (!rest[1] || rest[1].sign !== "**");
      const operand = nested(sign);
      return isNumber && !operand.children.length ? number(-operand.value) : made(node("neg", operand));
    }
    function power() {
      const base = atom();
      if (!take("**")) return base;
      const exponent = nested(sign);
      if (exponent.value === undefined) throw new ExpressionError("the exponent must be a number");
      return made(exponent.symbol === "2" ? node("square", base) : node("pow", base, exponent));
    }
    function atom() {
      const token = rest.shift();
      if (!token) throw new ExpressionError("the expression ends too early");
      if (token.number !== undefined) return made(number(Number(token.number)));
      if (token.sign === "(") {
        const inside = sum();
        expect(")");
        return inside;
      }
      if (token.sign) throw new ExpressionError(`'${token.sign}' is not expected here`);
      if (LEAVES.includes(token.name)) return made(node(token.name));
      return call(token.name);
    }
    function call(name) {
      const operator = Object.hasOwn(operators, name) ? operators[name] : undefined;
      if (!operator || operator.precedence !== null) throw new ExpressionError(`unknown word '${name}'`);
      expect("(");
      const children = [sum()];
      while (take(",")) children.push(sum());
      expect(")");
      if (children.length !== operator.arity) throw new ExpressionError(`${name} takes ${operator.arity}, not ${children.length}`);
      if (operator.constants.some((at) => children[at].value === undefined)) throw new ExpressionError(`an argument of ${name} must be a number`);
      return made(node(name, ...children));
    }

    const whole = sum();
    if (rest.length) throw new ExpressionError(`'${rest[0].sign ?? rest[0].name ?? rest[0].number}' is not expected here`);
    return whole;
  }

  const FUNCTIONS = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => a / b,
    "**": (a, b) => a ** b,
    ">=": (a, b) => Number(a >= b),
    ">": (a, b) => Number(a > b),
    "<=": (a, b) => Number(a <= b),
    "<": (a, b) => Number(a < b),
    neg: (a) => -a,
    abs: Math.abs,
    exp: Math.exp,
    log: Math.log,
    maximum: Math.max,
    minimum: Math.min,
    sign: Math.sign,
    sqrt: Math.sqrt,
    tanh: Math.tanh,
  };

  // A row of the table: [function, argument, ...], the name of an argument, or a number.
  function computed(row, values) {
    if (typeof row === "number") return row;
    if (typeof row === "string") return values[row];
    return FUNCTIONS[row[0]](...row.slice(1).map((argument) => computed(argument, values)));
  }

  // [f, df/dy]; the derivative is null where f does not depend on y.
  function dual(expr, known) {
    const { symbol, children, value } = expr;
    if (value !== undefined) return [value, null];
    if (!children.length) return [known[symbol], symbol === "y" ? 1 : null];
    const inside = children.map((child) => dual(child, known));
    if (symbol === "log" && children[0].symbol === "y" && known.y === 0) return [LOG_ZERO, -LOG_ZERO];
    const values = Object.fromEntries(inside.map(([each], at) => ["ab"[at], each]));
    values.f = computed(operators[symbol].value, values);
    let slope = null;
    inside.forEach(([, tangent], at) => {
      if (tangent === null) return;
      const term = tangent * computed(operators[symbol].partials[at], values);
      slope = slope === null ? term : slope + term;
    });
    return [values.f, slope];
  }

  function evaluate(expr, x, y, context = {}) {
    const [value, slope] = dual(expr, { x, y, prior: 0.1, progress: 1, ...context });
    return [value, slope ?? 0];
  }

  const uses = (expr, symbol) => expr.symbol === symbol || expr.children.some((child) => uses(child, symbol));

  // The loss of one sample over the probability of its right class; the wrong classes share the rest.
  function sampleLoss(expr, classes, y) {
    const context = { prior: 1 / classes };
    const wrong = evaluate(expr, 0, (1 - y) / (classes - 1), context)[0];
    return -(evaluate(expr, 1, y, context)[0] + (classes - 1) * wrong);
  }

  // The probability of the right class at which the loss is smallest; null without a minimum.
  function minimum(expr, classes) {
    const grid = [];
    for (let k = 0; k < 200; k++) grid.push(1e-12 * 1e9 ** (k / 199));
    for (let k = 0; k <= 4000; k++) grid.push(0.002 + (0.996 * k) / 4000);
    for (let k = 199; k >= 0; k--) grid.push(1 - 1e-12 * 1e9 ** (k / 199));
    const values = grid.map((y) => sampleLoss(expr, classes, y));
    let at = -1;
    values.forEach((value, k) => {
      if (!Number.isNaN(value) && (at < 0 || value < values[at])) at = k;
    });
    const defined = values.filter((value) => !Number.isNaN(value));
    if (!values.some(Number.isFinite) || defined.every((value) => value === values[at])) return null;
    if (at === 0 || at === grid.length - 1) return Math.round(grid[at]);
    let [low, high] = [grid[at - 1], grid[at + 1]];
    for (let k = 0; k < 80; k++) {
      const [a, b] = [low + 0.382 * (high - low), high - 0.382 * (high - low)];
      if (sampleLoss(expr, classes, a) < sampleLoss(expr, classes, b)) high = b;
      else low = a;
    }
    return (low + high) / 2;
  }

  // Numbers between 0 and 1 that are the same each time.
  function repeatable(seed) {
    let state = seed;
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state + 0.5) / 2 ** 32;
    };
  }

  // How many of 40 wrong decisions become right on the way down the loss: the descent probe of glo, with outputs of its own.
  function descent(expr, classes) {
    const draw = repeatable(20200719);
    const normal = () => Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw());
    const samples = Array.from({ length: 40 }, (_, at) => ({
      right: at % classes,
      z: Array.from({ length: classes }, normal),
    }));
    const isRight = ({ z, right }) => z.indexOf(Math.max(...z)) === right;
    let best = samples.filter(isRight).length;
    for (let step = 0; step < 60; step++) {
      const context = { prior: 1 / classes, progress: step / 59 };
      const gradients = samples.map((sample) => gradient(expr, sample, context));
      const length = Math.sqrt(gradients.flat().reduce((sum, g) => sum + g * g, 0) / (samples.length * classes));
      samples.forEach(({ z }, at) => {
        gradients[at].forEach((g, k) => {
          const move = (0.2 * g) / Math.max(length, 1e-30);
          z[k] -= Number.isFinite(move) ? move : 0;
        });
      });
      if (step % 10 === 9) best = Math.max(best, samples.filter(isRight).length);
    }
    return best / samples.length;
  }

  function gradient(expr, { z, right }, context) {
    const largest = Math.max(...z);
    const powers = z.map((output) => Math.exp(output - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    const y = powers.map((power) => power / total);
    const slopes = y.map((each, k) => evaluate(expr, Number(k === right), each, context)[1] * each);
    const mean = slopes.reduce((sum, slope) => sum + slope, 0);
    return y.map((each, k) => each * mean - slopes[k]);
  }

  // Why a loss cannot train, or null; the same checks, in the same order, as `glo show`.
  function obstacle(expr, classes) {
    const missing = ["x", "y"].filter((leaf) => !uses(expr, leaf));
    if (missing.length) return `it does not use ${missing.join(" and ")}`;
    const probed = points.map(([x, y]) => ({ x, y, found: evaluate(expr, x, y) }));
    const bad = probed.find(({ found }) => !found.every(Number.isFinite));
    if (bad) return `it or its derivative is not finite, for example at x = ${bad.x}, y = ${bad.y.toPrecision(3)}`;
    if (Math.max(...probed.map(({ found }) => Math.abs(found[1]))) < 1e-9) return "its derivative is zero";
    const share = descent(expr, classes);
    if (share < 0.9) return `minimising it does not make the decisions right (${Math.round(100 * share)} % are)`;
    return null;
  }

  globalThis.GloExpressions = { ExpressionError, parse, evaluate, sampleLoss, minimum, descent, obstacle, uses };
})();
