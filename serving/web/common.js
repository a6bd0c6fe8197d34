/* What the sample pages share: keys, reading, building elements, pictures of goods. */

export async function setUp() {
  const answer = await fetch("/samples/setup.json");
  if (!answer.ok) throw new Error("The sample pages are not set up: " + answer.status);
  return answer.json();
}

/* The visitor of this browser; another one on demand. */
export function visitor(prefix) {
  const key = "userflow.sample." + prefix;
  const fresh = () => prefix + "-" + Math.random().toString(36).slice(2, 8);
  let id = localStorage.getItem(key) || fresh();
  localStorage.setItem(key, id);
  return {
    id: () => id,
    change() {
      id = fresh();
      localStorage.setItem(key, id);
      sessionStorage.removeItem("userflow.session");
      location.reload();
    },
  };
}

/* null for what is unknown; throws when nobody answers. */
export function reader(setup) {
  const authorization = "Bearer " + setup.read_key;
  return async (path) => {
    const answer = await fetch(path, {headers: {authorization}});
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(path + " answered " + answer.status);
    return answer.json();
  };
}

/* The row of one entity, null while nobody knows it, which is no error of a page that looks on. */
export function rows(setup) {
  const headers = {authorization: "Bearer " + setup.read_key, "content-type": "application/json"};
  return async (view, id) => {
    const body = JSON.stringify({view, ids: [id]});
    const answer = await fetch("/v1/features", {method: "POST", headers, body});
    if (!answer.ok) throw new Error(view + " answered " + answer.status);
    const [row] = (await answer.json()).results;
    return row.features === null ? null : row;
  };
}

/* Each answer is an impression: it is asked for when something has changed, and not all the time. */
export function suggestions(read, show) {
  const AGAIN_MS = 3000;
  let known = null, at = 0, isEmpty = true;
  return async (path, state) => {
    const isOld = isEmpty && Date.now() - at > AGAIN_MS;
    if (known === state && !isOld) return;
    known = state;
    at = Date.now();
    isEmpty = !show(await read(path));
  };
}

export function showPulse(place, row) {
  place.dataset.state = row ? "fresh" : "waiting";
  place.textContent = row ? "as of " + new Date(row.updated_at).toLocaleTimeString("en-GB") : "unknown yet";
}

export function showAway(place) {
  place.dataset.state = "away";
  place.textContent = "no answer";
}

/* Again and again, one after the other, while somebody looks. */
export function every(ms, work) {
  const turn = async () => {
    if (!document.hidden) await work();
    setTimeout(turn, ms);
  };
  turn();
}

export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* Put it there only if it differs, so that focus and scrolling stay. */
export function show(place, signature, build) {
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.replaceChildren(...[build()].flat());
}

export const money = (value) =>
  value === null || value === undefined ? "–" : Number(value).toLocaleString("en", {minimumFractionDigits: 2, maximumFractionDigits: 2});
export const share = (value) =>
  value === null || value === undefined ? "–" : Math.round(value * 100) + " %";
export const words = (category) => (category || "").split(".").pop().replace(/_/g, " ");

export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}

/* The last events that this page sent, and what the collector said. */
export function eventLog(place) {
  const rows = new Map();
  const list = h("ol", {class: "log", "aria-label": "Events sent"});
  place.append(list);
  return {
    sent(id, what) {
      const state = h("span", {class: "state"}, "waiting");
      const time = new Date().toLocaleTimeString("en-GB");
      const row = h("li", {}, h("time", {}, time), h("span", {}, what), state);
      rows.set(id, state);
      list.prepend(row);
      while (list.children.length > 8) list.lastChild.remove();
    },
    told(event, result) {
      const state = rows.get(event.event_id);
      if (!state) return;
      state.textContent = result.status;
      state.className = "state " + result.status;
      state.title = result.reason || "";
    },
  };
}

const DRAWINGS = {
  smartphone: ["M8 3h8v18H8z", "M11 18h2"],
  headphone: ["M5 14a7 7 0 0 1 14 0", "M5 14v4h3v-5H5M19 14v4h-3v-5h3"],
  tablet: ["M5 4h14v16H5z", "M11 17.5h2"],
  notebook: ["M6 6h12v9H6z", "M3 18h18"],
  mouse: ["M8 9a4 4 0 0 1 8 0v6a4 4 0 0 1-8 0z", "M12 6v4"],
  kettle: ["M8 10h8l1.500 9h-11z", "M7.500 13L4 9.500", "M8 10a4 4 0 0 1 8 0", "M11 6V4.500h2V6", "M16.500 12c3 0 3.500 3.500 .8 5"],
  air_purifier: ["M7 4h10v16H7z", "M10 8h4M10 11h4M10 14h4"],
  sofa: ["M4 12v6h16v-6", "M6 12V8h12v4", "M4 12a2 2 0 0 1 4 0v2h8v-2a2 2 0 0 1 4 0"],
  shoes: ["M4 16v-6l5 2 3 3 7 1v3H4z", "M10 12l1.500-1.500M12 14l1.500-1.500"],
  jacket: ["M9 4l3 2.500 3-2.500 5 3.500-2 4-2-1.500V20H8V10l-2 1.500-2-4z", "M12 6.500V20"],
  skincare: ["M8 10h8v10H8z", "M10 10V6h4v4", "M12 6V4h3"],
  comics: ["M4 6c3-1 6-1 8 1 2-2 5-2 8-1v12c-3-1-6-1-8 1-2-2-5-2-8-1z", "M12 7v12"],
  toys: ["M4 13h7v7H4zM13 13h7v7h-7zM8.500 5h7v7h-7z"],
  bicycle: ["M3 16a3 3 0 1 0 6 0 3 3 0 1 0-6 0M15 16a3 3 0 1 0 6 0 3 3 0 1 0-6 0", "M6 16l4-7h5l3 7M10 9l3 7H6M14 6h2"],
};

/* A picture for a product: the colour is its own, the drawing its category's. */
export function picture(product) {
  const number = Number((product.product_id.match(/\d+/) || ["7"])[0]);
  const hue = (number * 47) % 360;
  const id = "g" + number + Math.random().toString(36).slice(2, 7);
  const kind = (product.category || "").split(".").pop();
  const paint = svg("linearGradient", {id, x1: 0, y1: 0, x2: 1, y2: 1},
    svg("stop", {offset: 0, "stop-color": `hsl(${hue} 62% 72%)`}),
    svg("stop", {offset: 1, "stop-color": `hsl(${(hue + 45) % 360} 58% 52%)`}));
  const lines = (DRAWINGS[kind] || ["M5 7h14v12H5z", "M5 7l7 5 7-5"]).map((d) =>
    svg("path", {d, fill: "none", stroke: "white", "stroke-width": 1.1, "stroke-linecap": "round", "stroke-linejoin": "round"}));
  return svg("svg", {viewBox: "0 0 40 30", class: "tile", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true"},
    svg("defs", {}, paint),
    svg("rect", {x: -20, y: -20, width: 80, height: 80, fill: `url(#${id})`}),
    svg("g", {transform: "translate(8 3)"}, ...lines));
}
