/* Plays a session: how far a reader had scrolled, or which way a shopper took, as time goes on. */

import {clock, h, money, reader, setUp, share, svg, words} from "./common.js";

const main = document.getElementById("main");
const setup = await setUp();
const read = reader(setup);
const names = await named();
const session = new URLSearchParams(location.search).get("session") || "";
const SPEEDS = [1, 2, 5, 20, 60];

/* What products and episodes are called; without the catalogue their ids have to do. */
async function named() {
  const lists = await Promise.all(["products", "episodes"].map((name) =>
    fetch("/samples/" + name + ".json").then((answer) => (answer.ok ? answer.json() : []))));
  return new Map(lists.flat().map((one) => [one.product_id || one.episode_id, one.name || one.title]));
}

const nameOf = (id) => names.get(id) || id;

function ask(message) {
  return h("section", {class: "card pad stack"},
    h("h1", {}, "Replay a session"),
    message ? h("p", {role: "status"}, message) : null,
    h("form", {class: "ask", action: "/samples/replay"},
      h("input", {name: "session", value: session, required: true, "aria-label": "Session id", placeholder: "Session id"}),
      h("button", {class: "button main"}, "Show")),
    h("p", {class: "muted small"}, "The sample pages link to the replay of your own visit. The archive has an event a moment after the stream has read it."));
}

/* --- a reading session: one chart for each episode ------------------------------------------------- */

const WIDTH = 760, HEIGHT = 260, LEFT = 44, TOP = 14, BOTTOM = 28;

function reading(events, duration) {
  const x = (ms) => LEFT + (duration ? ms / duration : 0) * (WIDTH - LEFT - 12);
  const y = (ratio) => TOP + ratio * (HEIGHT - TOP - BOTTOM);
  let deepest = 0;
  const points = events.map((event) => {
    const ratio = event.scroll_ratio ?? (event.event_type === "complete" ? 1 : deepest);
    deepest = Math.max(deepest, ratio);
    return {at: event.offset_ms, ratio: event.event_type === "enter" ? 0 : ratio, type: event.event_type};
  });
  const line = (some) => some.map((point, at) => (at ? "L" : "M") + x(point.at) + " " + y(point.ratio)).join("");
  const trace = svg("path", {class: "trace"});
  const head = svg("line", {class: "head", y1: TOP, y2: HEIGHT - BOTTOM});
  const chart = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Scroll position over time"},
    ...[0, .25, .5, .75, 1].flatMap((ratio) => [
      svg("line", {class: "axis", x1: LEFT, x2: WIDTH - 12, y1: y(ratio), y2: y(ratio)}),
      svg("text", {class: "label", x: LEFT - 8, y: y(ratio) + 4, "text-anchor": "end"}, share(ratio))]),
    ...(duration ? [0, .25, .5, .75, 1] : [0]).map((part) =>
      svg("text", {class: "label", x: x(part * duration), y: HEIGHT - 8, "text-anchor": "middle"}, clock(part * duration))),
    svg("path", {class: "trace ahead", d: line(points)}), trace, head,
    ...points.filter((point) => point.type !== "scroll").map((point) =>
      svg("circle", {class: "mark " + point.type, cx: x(point.at), cy: y(point.ratio), r: 5}, svg("title", {}, point.type))));
  const view = svg("rect", {class: "view", x: 4, width: 112, height: 34, rx: 4});
  const sheet = svg("svg", {viewBox: `0 0 120 ${HEIGHT}`, "aria-hidden": "true"},
    svg("rect", {class: "page", x: 4, y: 4, width: 112, height: HEIGHT - 8, rx: 6}),
    ...Array.from({length: 9}, (_, at) => svg("rect", {class: "line-of-page", x: 18, y: 16 + at * 27, width: at % 3 === 2 ? 50 : 84, height: at % 2 ? 5 : 14, rx: 2})), view);
  const says = h("p", {class: "muted", "aria-live": "off"});

  function at(ms) {
    const past = points.filter((point) => point.at <= ms);
    const coming = points.find((point) => point.at > ms);
    const last = past[past.length - 1] || points[0];
    const part = coming && coming.at > last.at ? Math.max(0, (ms - last.at) / (coming.at - last.at)) : 0;
    const ratio = coming ? last.ratio + (coming.ratio - last.ratio) * part : last.ratio;
    trace.setAttribute("d", line([...past, {at: Math.max(ms, last.at), ratio}]));
    head.setAttribute("x1", x(ms));
    head.setAttribute("x2", x(ms));
    view.setAttribute("y", 4 + ratio * (HEIGHT - 8 - 34));
    says.textContent = share(ratio) + " of the episode · last: " + last.type;
  }
  return {element: h("div", {class: "stack"}, h("div", {class: "stage"}, chart, sheet), says), at};
}

/* --- a shopping session: the steps of its path ------------------------------------------------------ */

const TOLD = {
  page_view: (event) => event.page_type === "stayed" ? "Stayed there" : "Opened " + (event.page_type || event.page_url),
  product_view: (event) => "Looked at " + nameOf(event.product_id),
  click: (event) => "Clicked " + event.element_id,
  search: (event) => "Searched for “" + event.search_query + "”",
  add_to_cart: (event) => "Put " + nameOf(event.product_id) + " into the cart",
  remove_from_cart: (event) => "Took " + nameOf(event.product_id) + " out",
  purchase: (event) => "Bought for " + money(event.total_amount),
};

function shopping(events) {
  const steps = events.map((event) =>
    h("li", {class: event.event_type, "data-at": clock(event.offset_ms)},
      h("span", {class: "dot"}),
      h("span", {}, (TOLD[event.event_type] || (() => event.event_type))(event),
        event.category ? h("span", {class: "small muted"}, " · " + words(event.category)) : null),
      h("span", {class: "muted"}, event.price === undefined ? "" : money(event.price))));
  const list = h("ol", {class: "path", "aria-label": "Path through the shop"}, steps);

  function at(ms) {
    const past = events.filter((event) => event.offset_ms <= ms).length;
    steps.forEach((step, place) => {
      step.classList.toggle("past", place < past);
      step.classList.toggle("now", place === past - 1);
      if (place === past - 1) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
  }
  return {element: list, at};
}

/* --- the player -------------------------------------------------------------------------------------- */

function scenesOf(told) {
  const scenes = [];
  const shop = told.events.filter((event) => event.domain === "commerce");
  const episodes = [...new Set(told.events.filter((event) => event.domain === "webtoon").map((event) => event.episode_id))];
  for (const id of episodes) {
    const events = told.events.filter((event) => event.episode_id === id);
    scenes.push({title: nameOf(id), ...reading(events, told.duration_ms)});
  }
  if (shop.length) scenes.push({title: "Through the shop", ...shopping(shop)});
  return scenes;
}

function player(told) {
  const scenes = scenesOf(told);
  const duration = Math.max(told.duration_ms, 1);
  let now = 0, before = null, speed = duration > 120000 ? 20 : 5;
  const play = h("button", {class: "button main", id: "play", onclick: toggle}, "Play");
  const time = h("span", {class: "mono", id: "time"});
  const slider = h("input", {type: "range", min: 0, max: duration, step: "any", value: 0, id: "place", "aria-label": "Place in the session",
    oninput: (event) => { now = Number(event.target.value); draw(); }});
  const speeds = h("select", {class: "button", id: "speed", "aria-label": "Speed", onchange: (event) => { speed = Number(event.target.value); }},
    SPEEDS.map((one) => h("option", {value: one, selected: one === speed}, one + "×")));

  function draw() {
    slider.value = now;
    time.textContent = clock(now) + " / " + clock(duration);
    scenes.forEach((scene) => scene.at(now));
  }

  function frame(stamp) {
    if (before === null) return;
    now = Math.min(duration, now + (stamp - before) * speed);
    before = stamp;
    draw();
    if (now >= duration) toggle();
    else requestAnimationFrame(frame);
  }

  function toggle() {
    const starts = before === null;
    if (starts && now >= duration) now = 0;
    before = starts ? performance.now() : null;
    play.textContent = starts ? "Pause" : "Play";
    if (starts) requestAnimationFrame(frame);
  }

  document.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
    if (event.key === " ") toggle();
    else if (event.key === "ArrowRight") now = Math.min(duration, now + duration / 20);
    else if (event.key === "ArrowLeft") now = Math.max(0, now - duration / 20);
    else return;
    event.preventDefault();
    draw();
  });
  draw();
  return [
    h("section", {class: "card player"},
      h("div", {},
        h("h1", {}, told.event_count + (told.event_count === 1 ? " event" : " events in " + clock(told.duration_ms))),
        h("p", {class: "muted small"}, "Session ", h("span", {class: "mono"}, told.session_id), " · began " + new Date(told.started_at).toLocaleString("en-GB") + (told.is_truncated ? " · only its beginning" : ""))),
      h("div", {class: "controls"}, play, slider, time, speeds)),
    scenes.map((scene) => h("section", {class: "card pad stack"}, h("h2", {}, scene.title), scene.element)),
  ].flat();
}

async function showSession() {
  if (!session) return main.replaceChildren(ask(null));
  try {
    const told = await read("/v1/sessions/" + encodeURIComponent(session) + "/replay?limit=5000");
    if (told) return main.replaceChildren(...player(told));
    main.replaceChildren(ask("The archive has nothing of this session yet. It is looked for again."));
    setTimeout(showSession, 2000);
  } catch (error) {
    main.replaceChildren(ask("The API does not answer: " + error.message));
  }
}

showSession();
