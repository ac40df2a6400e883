"use strict";
// Draws the HTML report's figures. Everything drawn comes from the page itself; nothing is fetched.
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const config = page.config;
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const SESSION = 1440; // as a candle's minutes: whole sessions

  // ---- trading time: minutes of regular sessions one after the other --------------------------------

  let total = 0;
  const sessions = page.time.dates.map((text, i) => {
    const [year, month, day] = text.split("-").map(Number);
    const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay();
    const minutes = page.time.lengths[i];
    const session = { year, month, day, weekday, start: total, opens: page.time.opens[i], minutes };
    total += minutes;
    return session;
  });

  function sessionAt(x) {
    let low = 0;
    let high = sessions.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (sessions[middle].start <= x) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  const clock = (minute) =>
    String(Math.floor(minute / 60)).padStart(2, "0") + ":" + String(Math.floor(minute % 60)).padStart(2, "0");
  const date = (s) => `${DAYS[s.weekday]} ${s.day} ${MONTHS[s.month - 1]} ${s.year}`;

  // An end belongs to the session it closes, not to the one that begins there.
  function moment(x, isEnd) {
    const s = sessions[sessionAt(isEnd ? Math.max(x - 1e-6, 0) : x)];
    return `${date(s)} ${clock(s.opens + Math.min(x - s.start, s.minutes))}`;
  }

  // What may be labelled, from fine to coarse: which period a session is in, and what its first one is called.
  const day = (s) => `${s.day} ${MONTHS[s.month - 1]}`;
  const month = (s) => MONTHS[s.month - 1];
  const week = (s) => Math.floor((Date.UTC(s.year, s.month - 1, s.day) / 864e5 + 3) / 7);
  const PERIODS = [
    [(s, i) => i, day],
    [(s, i) => Math.floor(i / 2), day],
    [week, day],
    [(s) => Math.floor(week(s) / 2), day],
    [(s) => s.year * 12 + s.month, month],
    [(s) => s.year * 4 + Math.floor((s.month - 1) / 3), month],
    [(s) => s.year, () => ""],
    [(s) => Math.floor(s.year / 5), () => ""],
  ];

  // The axis between two places: dates where there is room, and the time of day between them.
  function ticks(low, high, width) {
    const room = Math.max(2, Math.floor(width / 80));
    const gap = ((high - low) / width) * 50; // labels nearer than this would touch
    const first = sessionAt(low);
    const last = sessionAt(high);
    let places = [];
    for (const [key, name] of PERIODS) {
      places = [];
      for (let i = first; i <= last; i++) {
        const s = sessions[i];
        const begins = i === 0 || key(s, i) !== key(sessions[i - 1], i - 1);
        if (begins && s.start >= low && s.start <= high) places.push([s.start, s, name(s)]);
      }
      if (places.length <= room) break;
    }
    places = places.filter(([x], i) => i === places.length - 1 || places[i + 1][0] - x >= gap);
    let year = null;
    const dated = places.map(([x, s, text]) => {
      const shown = s.year === year ? text : text ? `${text}<br>${s.year}` : `${s.year}`;
      year = s.year;
      return [x, shown];
    });
    const found = [
      ...dated,
      ...hours(low, high, room).filter(([x]) => !dated.some(([other]) => Math.abs(other - x) < gap)),
    ];
    found.sort((a, b) => a[0] - b[0]);
    if (!dated.length && found.length) found[0][1] += `<br>${date(sessions[sessionAt(found[0][0])])}`;
    return { tickmode: "array", tickvals: found.map(([x]) => x), ticktext: found.map(([, text]) => text) };
  }

  function hours(low, high, room) {
    const found = [];
    const step = [1, 2, 5, 10, 15, 30, 60, 120].find((minutes) => (high - low) / minutes <= room);
    for (let i = sessionAt(low); step && i <= sessionAt(high); i++) {
      const s = sessions[i];
      for (let minute = Math.ceil(s.opens / step) * step; minute < s.opens + s.minutes; minute += step) {
        const x = s.start + minute - s.opens;
        if (x >= low && x <= high) found.push([x, clock(minute)]);
      }
    }
    return found;
  }

  function plotWidth(element) {
    return Math.max(element.clientWidth - 90, 150);
  }

  // What the user has zoomed to, if the event says so.
  function chosenRange(event) {
    if (event["xaxis.autorange"]) return [0, total];
    const range = event["xaxis.range"] || [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    return range[0] === undefined || range[1] === undefined ? null : range;
  }

  // ---- figures that are ready -----------------------------------------------------------------------

  for (const [id, figure] of Object.entries(page.figures)) {
    const element = document.getElementById(id);
    const timed = id === "equity";
    if (timed) {
      for (const trace of figure.data) trace.text = trace.x.map((x) => moment(x, true));
      Object.assign(figure.layout.xaxis, { range: [0, total] }, ticks(0, total, plotWidth(element)));
    }
    Plotly.newPlot(element, figure.data, figure.layout, config);
    if (!timed) continue;
    const label = (event) => {
      const range = chosenRange(event) || (event.width || event.autosize ? element.layout.xaxis.range : null);
      if (!range) return;
      const { tickvals, ticktext } = ticks(range[0], range[1], plotWidth(element));
      Plotly.relayout(element, { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext });
    };
    element.on("plotly_relayout", label);
  }

  // ---- the chart of trades --------------------------------------------------------------------------

  const KINDS = { i4: Int32Array, f4: Float32Array, f8: Float64Array, u1: Uint8Array };
  const column = ([kind, text]) =>
    new KINDS[kind](Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const columns = (packed) =>
    Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, column(value)]));

  const chart = document.getElementById("chart");
  if (!chart || !page.chart.symbols.length) return;
  const select = document.getElementById("symbol");
  const back = document.getElementById("back");
  const next = document.getElementById("next");
  const whole = document.getElementById("whole");
  const said = document.getElementById("said");
  const { minutes: finest, colours } = page.chart;

  let candles, trades, order, range; // of the symbol shown; order: its trades by entry
  let current = -1; // the trade that was asked for

  function lowerBound(values, wanted) {
    let low = 0;
    let high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Of the finest candles of which no more than ``most`` are in view: minutes of one, and sessions of one.
  function coarseness(span, most) {
    const step = [1, 2, 5, 6, 10, 15, 30].find(
      (m) => m >= finest && m % (finest <= 30 ? finest : 1) === 0 && span / m <= most,
    );
    if (step) return [step, 1];
    return [SESSION, [1, 5, 10, 21].find((n) => span / 390 / n <= most) || 63];
  }

  function inView(low, high) {
    const most = Math.max(80, Math.min(500, plotWidth(chart) / 2.4));
    const [step, count] = coarseness(high - low, most);
    const found = { x: [], open: [], high: [], low: [], close: [], text: [], step, count };
    if (!candles) return found;
    let window = null;
    let last = -1;
    const ahead = Math.min((Math.floor(sessionAt(high) / count) + 1) * count, sessions.length) - 1;
    const begin = lowerBound(candles.x, sessions[Math.floor(sessionAt(low) / count) * count].start);
    const stop = lowerBound(candles.x, sessions[ahead].start + sessions[ahead].minutes);
    for (let i = begin; i < stop; i++) {
      const number = sessionAt(candles.x[i]);
      const s = sessions[number];
      const within = Math.floor((candles.x[i] - s.start) / step);
      const key = step === SESSION ? Math.floor(number / count) : number * SESSION + within;
      if (key !== window) {
        window = key;
        last++;
        const end = step === SESSION ? s.start + s.minutes : s.start + (within + 1) * step;
        const start = step === SESSION ? s.start : end - step;
        found.x.push((start + end) / 2);
        found.open.push(candles.open[i]);
        found.high.push(candles.high[i]);
        found.low.push(candles.low[i]);
        found.close.push(candles.close[i]);
        found.text.push(step === SESSION ? date(s) : moment(start));
      } else {
        found.high[last] = Math.max(found.high[last], candles.high[i]);
        found.low[last] = Math.min(found.low[last], candles.low[i]);
        found.close[last] = candles.close[i];
      }
    }
    return found;
  }

  const price = (value) => "$" + value.toFixed(value < 1 ? 4 : 2);
  const money = (value) =>
    (value < 0 ? "−$" : "+$") +
    Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const multiple = (value) =>
    Number.isNaN(value) ? "" : ` (${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)} R)`;
  const count = (number) => number.toLocaleString("en-US");
  const many = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  const result = (i) =>
    `${money(trades.pnl[i])}${multiple(trades.r[i])}, ${page.chart.reasons[trades.reason[i]]}`;

  function tradesInView(low, high) {
    let found = order.filter((i) => trades.left[i] >= low && trades.entered[i] <= high);
    const room = Math.ceil(plotWidth(chart) / 8); // more markers than this are a blot
    const hidden = Math.max(found.length - room, 0);
    if (hidden)
      found = found.sort((a, b) => Math.abs(trades.pnl[b]) - Math.abs(trades.pnl[a])).slice(0, room);
    return [found, hidden];
  }

  function tradeTraces(found) {
    const line = (dash, colour) => ({
      type: "scatter",
      mode: "lines",
      x: [],
      y: [],
      line: { dash, color: colour, width: 1.8 },
      hoverinfo: "skip",
      showlegend: false,
    });
    const marks = (name, symbol, colour) => ({
      type: "scatter",
      mode: "markers",
      name,
      x: [],
      y: [],
      text: [],
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        symbol,
        color: colour,
        size: found.length > 60 ? 7 : 10,
        line: { width: symbol === "x-thin" ? 2.5 : 1, color: colour },
      },
    });
    const gain = {
      path: line("solid", colours.gain),
      entry: marks("bought · gain", "triangle-up", colours.gain),
      exit: marks("sold · gain", "circle", colours.gain),
    };
    const loss = {
      path: line("dot", colours.loss),
      entry: marks("bought · loss", "triangle-up-open", colours.loss),
      exit: marks("sold · loss", "x-thin", colours.loss),
    };
    const mark = (trace, i, x, y, done, at) => {
      trace.x.push(x);
      trace.y.push(y);
      trace.text.push(
        `${done} ${many(trades.qty[i], "share")} at ${price(y)}<br>${moment(at)}<br>${result(i)}`,
      );
    };
    for (const i of found) {
      const { path, entry, exit } = trades.pnl[i] < 0 ? loss : gain;
      // In the middle of the bars that filled it.
      const from = trades.entered[i] + 0.5;
      const to = trades.left[i] + 0.5;
      path.x.push(from, to, null);
      path.y.push(trades.bought[i], trades.sold[i], null);
      mark(entry, i, from, trades.bought[i], "bought", trades.entered[i]);
      mark(exit, i, to, trades.sold[i], "sold", trades.left[i]);
    }
    return [gain.path, loss.path, gain.entry, loss.entry, gain.exit, loss.exit];
  }

  // From the lowest to the highest price in view, with some room.
  function priceRange(bars, found, low, high) {
    let bottom = Infinity;
    let top = -Infinity;
    const widen = (a, b) => {
      bottom = Math.min(bottom, a);
      top = Math.max(top, b);
    };
    bars.x.forEach((x, i) => x >= low && x <= high && widen(bars.low[i], bars.high[i]));
    for (const i of found)
      widen(Math.min(trades.bought[i], trades.sold[i]), Math.max(trades.bought[i], trades.sold[i]));
    const room = (top - bottom) * 0.06 || top * 0.01;
    return bottom <= top ? [bottom - room, top + room] : [0, 1];
  }

  function draw() {
    const [low, high] = range;
    const bars = inView(low, high);
    const [found, hidden] = tradesInView(low, high);
    const candle = {
      type: "candlestick",
      x: bars.x,
      open: bars.open,
      high: bars.high,
      low: bars.low,
      close: bars.close,
      showlegend: false,
      name: "",
      increasing: { line: { color: colours.candle, width: 1 }, fillcolor: "rgba(0,0,0,0)" },
      decreasing: { line: { color: colours.candle, width: 1 }, fillcolor: colours.candle },
      hoverinfo: "text",
      hovertext: bars.text.map((text, i) => {
        const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => price(bars[name][i]));
        return `${text}<br>O ${open} H ${high}<br>L ${low} C ${close}`;
      }),
    };
    const layout = structuredClone(page.chart.layout);
    Object.assign(layout.xaxis, { range: [low, high] }, ticks(low, high, plotWidth(chart)));
    layout.yaxis.range = priceRange(bars, found, low, high);
    if (current >= 0) {
      layout.shapes = [
        {
          type: "rect",
          layer: "below",
          xref: "x",
          yref: "paper",
          y0: 0,
          y1: 1,
          line: { width: 0 },
          fillcolor: "rgba(128,134,144,0.16)",
          x0: trades.entered[current],
          x1: trades.left[current] + 1,
        },
      ];
    }
    Plotly.react(chart, [candle, ...tradeTraces(found)], layout, config);
    describe(bars, found.length, hidden);
  }

  function describe(bars, shown, hidden) {
    const size = bars.step === SESSION ? many(bars.count, "session") : many(bars.step, "minute");
    const seen = hidden ? `the ${shown} largest of ${count(shown + hidden)} trades` : many(shown, "trade");
    const view = `Candles of ${size}, ${seen} in view.`;
    said.textContent = current < 0 ? view : story(size);
    back.disabled = next.disabled = order.length === 0;
  }

  function story(size) {
    const entered = trades.entered[current];
    const left = trades.left[current];
    const sold = sessionAt(entered) === sessionAt(left) ? moment(left).slice(-5) : moment(left);
    return (
      `Trade ${count(order.indexOf(current) + 1)} of ${count(order.length)}: ` +
      `${many(trades.qty[current], "share")} bought ${moment(entered)} at ${price(trades.bought[current])}, ` +
      `sold ${sold} at ${price(trades.sold[current])}: ${result(current)}. Candles of ${size}.`
    );
  }

  function look(low, high) {
    const span = Math.min(Math.max(high - low, 15), total);
    const start = Math.min(Math.max(low, 0), total - span);
    range = [start, start + span];
    draw();
  }

  function lookAt(place) {
    const position = (place + order.length) % order.length;
    current = order[position];
    const middle = (trades.entered[current] + trades.left[current]) / 2;
    const reach = Math.max(
      (trades.left[current] - trades.entered[current]) * 1.5,
      finest < SESSION ? 40 * finest : 30 * 390,
    );
    look(middle - reach, middle + reach);
  }

  function choose(index) {
    const symbol = page.chart.symbols[index];
    candles = symbol.candles ? columns(symbol.candles) : null;
    trades = columns(symbol.trades);
    order = Array.from(trades.entered.keys()).sort((a, b) => trades.entered[a] - trades.entered[b]);
    current = -1;
  }

  page.chart.symbols.forEach((item, i) => select.add(new Option(item.symbol, String(i))));
  select.addEventListener("change", () => {
    choose(Number(select.value));
    draw();
  });
  back.addEventListener("click", () => lookAt(current < 0 ? order.length - 1 : order.indexOf(current) - 1));
  next.addEventListener("click", () => lookAt(current < 0 ? 0 : order.indexOf(current) + 1));
  whole.addEventListener("click", () => {
    current = -1;
    look(0, total);
  });
  select.value = String(page.chart.first);
  choose(page.chart.first);
  look(0, total);
  chart.on("plotly_relayout", (event) => {
    const chosen = chosenRange(event);
    if (chosen) look(chosen[0], chosen[1]);
    else if (event.width || event.autosize) draw();
  });
})();
