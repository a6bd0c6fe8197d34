/* The sample reader: one long episode to scroll through, beside what the store makes of it. */

import {
  every, eventLog, h, reader, rows, setUp, share, show, showAway, showPulse, suggestions, svg,
  visitor,
} from "./common.js";

const place = (id) => document.getElementById(id);
const setup = await setUp();
const rowOf = rows(setup);
const who = visitor("reader");
const episodes = await (await fetch("/samples/episodes.json")).json();
const byId = new Map(episodes.map((episode) => [episode.episode_id, episode]));
const asked = new URLSearchParams(location.search).get("episode");
const episode = byId.get(asked) || episodes[0];
const next = episodes[(episodes.indexOf(episode) + 1) % episodes.length];
const hrefOf = (id) => "/samples/webtoon?episode=" + encodeURIComponent(id);

/* --- the episode ------------------------------------------------------------------------------ */

const LINES = [
  "It had rained since morning, and the last train was late.",
  "Somebody had left a light on in the old observatory.",
  "“You came back,” said the voice behind the door.",
  "Nobody had used that staircase for years.",
  "The map showed a river where there was none.",
  "She counted the windows again. There were nine now.",
  "Far below, the city went on as if nothing had happened.",
  "“If you turn this page,” it said, “you cannot turn back.”",
  "And then the bells began.",
  "To be continued.",
];

/* A scene of hills, a moon and a town: always the same one for the same number. */
function scene(number) {
  let seed = number * 9301 + 49297;
  const random = () => (seed = (seed * 9301 + 49297) % 233280) / 233280;
  const hue = Math.floor(random() * 360);
  const id = "sky" + number + "-" + Math.random().toString(36).slice(2, 7);
  const sky = svg("linearGradient", {id, x1: 0, y1: 0, x2: 0, y2: 1},
    svg("stop", {offset: 0, "stop-color": `hsl(${hue} 50% 22%)`}),
    svg("stop", {offset: 1, "stop-color": `hsl(${(hue + 50) % 360} 62% 68%)`}));
  const parts = [svg("rect", {width: 690, height: 620, fill: `url(#${id})`}),
    svg("circle", {cx: 90 + random() * 500, cy: 90 + random() * 120, r: 28 + random() * 34, fill: "hsl(48 90% 90%)", opacity: .9})];
  for (let star = 0; star < 30; star++)
    parts.push(svg("circle", {cx: random() * 690, cy: random() * 260, r: random() * 1.8, fill: "white", opacity: .7}));
  for (let layer = 0; layer < 3; layer++) {
    const base = 330 + layer * 80;
    let path = `M0 620V${base}`;
    for (let x = 0; x <= 690; x += 115) path += ` Q${x + 57} ${base - 110 * random()} ${x + 115} ${base - 40 * random()}`;
    parts.push(svg("path", {d: path + "V620z", fill: `hsl(${(hue + 20 * layer) % 360} 40% ${34 - layer * 9}%)`}));
  }
  for (let house = 0; house < 9; house++) {
    const x = house * 78 + random() * 30, height = 60 + random() * 120;
    parts.push(svg("rect", {x, y: 620 - height, width: 46, height, fill: `hsl(${hue} 30% 9%)`}));
    for (let window = 0; window < 4; window++)
      if (random() > .4) parts.push(svg("rect", {x: x + 8 + (window % 2) * 18, y: 632 - height + Math.floor(window / 2) * 24, width: 9, height: 12, fill: "hsl(44 90% 70%)"}));
  }
  return svg("svg", {viewBox: "0 0 690 620", class: "panel", role: "img", "aria-label": "Panel " + number}, svg("defs", {}, sky), ...parts);
}

function cover(id) {
  const first = scene(numberOf(id) * 31 + 1);
  first.setAttribute("class", "tile");
  first.setAttribute("preserveAspectRatio", "xMidYMid slice");
  return first;
}

const numberOf = (id) => Number((id.match(/\d+/) || ["1"])[0]);
const number = numberOf(episode.episode_id);
const strip = h("article", {class: "card episode"},
  h("div", {class: "pad"}, h("h1", {}, episode.title),
    h("p", {class: "muted small"}, episode.genre + " · " + (episode.tags || []).join(", ") + " · rated " + (episode.avg_rating ?? "–"))),
  LINES.map((line, at) => [scene(number * 31 + at + 1), h("p", {class: "caption"}, line)]));
place("main").append(strip, h("div", {class: "pad row"},
  h("a", {class: "button main", href: hrefOf(next.episode_id)}, "Next: " + next.title)));
place("next").href = hrefOf(next.episode_id);
document.title = episode.title + " · userflow";

/* --- tracking ---------------------------------------------------------------------------------- */

const log = eventLog(place("log"));
const tracker = userflow.start({
  key: setup.collect_key,
  userId: who.id(),
  batchMs: 100,
  onResult: (event, result) => log.told(event, result),
  onTrack: (event) => log.sent(event.event_id, event.event_type + (event.scroll_ratio === undefined ? "" : " at " + share(event.scroll_ratio))),
});
const reading = tracker.read(episode.episode_id, {element: strip});
window.tracker = tracker;

/* --- what the store knows ---------------------------------------------------------------------- */

function figures(target, entries) {
  show(target, JSON.stringify(entries), () =>
    entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
}

function showVisit(row) {
  const features = row ? row.features : {};
  showPulse(place("pulse"), row);
  place("stored").style.width = (features.completion_rate || 0) * 100 + "%";
  figures(place("figures"), [
    ["Events", features.event_count ?? 0],
    ["Dwell", features.dwell_time_ms === undefined ? "–" : Math.round(features.dwell_time_ms / 1000) + " s"],
    ["Mean scroll", share(features.avg_scroll_ratio)],
  ]);
  const states = [["is_completed", "completed"], ["is_exit_tag", "left"], ["is_closed", "closed"]];
  const held = states.filter(([name]) => features[name]).map(([, text]) => text);
  show(place("state"), "s" + Boolean(row) + held.join(), () => held.length
    ? held.map((text) => h("span", {class: "chip loud"}, text))
    : h("span", {class: "small muted"}, row ? "being read" : "scroll, and the store will know"));
}

function showReader(row) {
  const features = row ? row.features : {};
  figures(place("reader"), [
    ["Reads", features.read_count_1h ?? 0],
    ["Completion", share(features.avg_completion_rate_1h)],
    ["Genre", features.top_genre_1h ?? "–"],
  ]);
}

const suggest = suggestions(reader(setup), (answer) => {
  const items = answer ? answer.items.filter((item) => byId.has(item.id)).slice(0, 4) : [];
  show(place("suggested"), "s" + JSON.stringify(items.map((item) => [item.id, item.because])), () => items.length
    ? h("ol", {class: "suggested"}, items.map((item) => h("li", {}, h("a", {href: hrefOf(item.id)}, cover(item.id),
        h("span", {}, h("strong", {}, byId.get(item.id).title), h("span", {class: "small muted"}, item.because || item.reason || ""))))))
    : h("span", {class: "small muted"}, "Nothing yet."));
  return items.length > 0;
});
const suggested = "/v1/recommendations/" + encodeURIComponent(who.id()) + "?k=5&domain=webtoon";

async function look() {
  try {
    const visit = tracker.sessionId() + "|" + episode.episode_id;
    const [row, known] = await Promise.all([rowOf("session_features", visit), rowOf("user_features", who.id())]);
    showVisit(row);
    showReader(known);
    await suggest(suggested, known ? known.updated_at : null);
  } catch (error) {
    showAway(place("pulse"));
  }
}

/* --- start -------------------------------------------------------------------------------------- */

place("visitor").textContent = who.id();
place("another").addEventListener("click", () => who.change());
place("replay").href = "/samples/replay?session=" + encodeURIComponent(tracker.sessionId());
window.addEventListener("scroll", () => { place("read").style.width = reading.ratio() * 100 + "%"; }, {passive: true});
place("read").style.width = reading.ratio() * 100 + "%";
every(500, look);
