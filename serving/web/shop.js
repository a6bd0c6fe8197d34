/* The sample shop: categories, products, a cart and a checkout, beside what the store makes of it. */

import {
  every, eventLog, h, money, picture, reader, rows, setUp, share, show, showAway, showPulse,
  suggestions, visitor, words,
} from "./common.js";

const place = (id) => document.getElementById(id);
const setup = await setUp();
const read = reader(setup);
const rowOf = rows(setup);
const who = visitor("shopper");
const goods = await (await fetch("/samples/products.json")).json();
const byId = new Map(goods.map((product) => [product.product_id, product]));
const categories = [...new Set(goods.map((product) => product.category))].sort();
const log = eventLog(place("log"));
const tracker = userflow.start({
  key: setup.collect_key,
  userId: who.id(),
  batchMs: 100,
  onTrack: (event) => stayAfter(event),
  onResult: (event, result) => log.told(event, result),
});
window.tracker = tracker;

const tell = (what, id) => log.sent(id, what);
const named = (product) => ({product_id: product.product_id, category: product.category, brand: product.brand, price: product.price});

/*
 * What a rule decides waits until ten whole seconds of event time have gone by. In a shop with one visitor
 * nobody else moves that on, so who has looked at something and stays tells that once.
 */
const STAYED_MS = 11200;
let staying = null;
function stayAfter(event) {
  clearTimeout(staying);
  if (event.event_type !== "product_view" && event.event_type !== "add_to_cart") return;
  staying = setTimeout(() => {
    if (!document.hidden) tell("stayed on the page", tracker.pageView({page_type: "stayed"}));
  }, STAYED_MS);
}

/* --- the cart -------------------------------------------------------------------------------- */

const CART = "userflow.sample.cart";
let cart = JSON.parse(sessionStorage.getItem(CART) || "[]").filter((id) => byId.has(id));

function keep() {
  sessionStorage.setItem(CART, JSON.stringify(cart));
  place("cart-count").textContent = cart.length;
}

function add(product) {
  cart.push(product.product_id);
  keep();
  tell("put into the cart: " + product.name, tracker.addToCart(named(product)));
}

function remove(product) {
  cart.splice(cart.indexOf(product.product_id), 1);
  keep();
  tell("taken out: " + product.name, tracker.removeFromCart(named(product)));
  route();
}

function buy() {
  const items = cart.map((id) => ({product_id: id, quantity: 1, unit_price: byId.get(id).price}));
  const total = Math.round(items.reduce((sum, item) => sum + item.unit_price * 100, 0)) / 100;
  const order = {order_id: userflow.uuid(), items, total_amount: total, payment_method: "sample"};
  tell("bought " + items.length + " for " + money(total), tracker.purchase(order));
  cart = [];
  keep();
  location.hash = "#/thanks";
}

/* --- the pages ------------------------------------------------------------------------------- */

function tileOf(product) {
  return h("a", {class: "card good", href: "#/product/" + product.product_id},
    picture(product),
    h("span", {class: "words"},
      h("span", {class: "name"}, product.name),
      h("span", {class: "small muted"}, words(product.category)),
      h("span", {class: "price"}, money(product.price))));
}

function chips(current) {
  const chip = (href, text, isHere) =>
    h("a", {class: "chip", href, "aria-current": isHere ? "page" : null}, text);
  return h("nav", {class: "chips", "aria-label": "Categories"},
    chip("#/", "popular", !current),
    categories.map((name) => chip("#/category/" + name, words(name), name === current)));
}

function listing(title, some, category) {
  return [
    h("div", {class: "stack"}, h("h1", {}, title), chips(category)),
    some.length
      ? h("div", {class: "goods"}, some.slice(0, 24).map(tileOf))
      : h("p", {class: "empty"}, "Nothing of that name."),
  ];
}

function productPage(product) {
  const put = h("button", {class: "button main", onclick: () => { add(product); put.textContent = "In the cart – once more?"; }}, "Put into the cart");
  const photo = h("button", {class: "button", onclick: () => tell("click: look closer", tracker.click("look-closer", {product_id: product.product_id, element_type: "button"}))}, "Look closer");
  const like = goods.filter((one) => one.category === product.category && one !== product).slice(0, 4);
  return [
    h("article", {class: "card product"},
      picture(product),
      h("div", {class: "words"},
        h("a", {href: "#/category/" + product.category, class: "small"}, words(product.category)),
        h("h1", {}, product.name),
        h("p", {class: "muted"}, "By " + product.brand + ". ", h("span", {class: "mono"}, product.product_id)),
        h("p", {class: "price"}, money(product.price)),
        h("div", {class: "row"}, put, photo))),
    h("h2", {class: "above"}, "More " + words(product.category)),
    h("div", {class: "goods"}, like.map(tileOf)),
  ];
}

function cartPage() {
  if (!cart.length) return [h("h1", {}, "Cart"), h("p", {class: "empty card"}, "The cart is empty. ", h("a", {href: "#/"}, "Look around"))];
  const rows = cart.map((id) => byId.get(id)).map((product) =>
    h("tr", {},
      h("td", {}, h("a", {href: "#/product/" + product.product_id}, product.name)),
      h("td", {class: "number"}, money(product.price)),
      h("td", {class: "number"}, h("button", {class: "button small", onclick: () => remove(product), "aria-label": "Take out " + product.name}, "Take out"))));
  const total = cart.reduce((sum, id) => sum + byId.get(id).price, 0);
  return [
    h("h1", {}, "Cart"),
    h("div", {class: "card pad stack"},
      h("table", {class: "lines"}, h("tbody", {}, rows),
        h("tfoot", {}, h("tr", {}, h("th", {}, "Together"), h("th", {class: "number"}, money(total)), h("td", {})))),
      h("div", {class: "row"}, h("button", {class: "button main", id: "buy", onclick: buy}, "Buy"), h("a", {class: "button", href: "#/"}, "Look around"))),
  ];
}

function thanks() {
  return [h("div", {class: "card empty"}, h("h1", {}, "Thank you"), h("p", {}, "Nothing was charged: this is a sample."), h("a", {class: "button", href: "#/"}, "Go on"))];
}

function found(query) {
  const some = goods.filter((one) => (one.name + " " + one.category).toLowerCase().includes(query.toLowerCase()));
  tell("search: " + query, tracker.search(query, {result_count: some.length}));
  return listing("“" + query + "”", some, "?");
}

/* What stands behind a hash: the page, and the event that it means. */
function pageOf([kind, ...rest]) {
  const name = decodeURIComponent(rest.join("/"));
  if (kind === "product" && byId.has(name)) return productPage(byId.get(name));
  if (kind === "category") return listing(words(name), goods.filter((one) => one.category === name), name);
  if (kind === "search") return found(name);
  if (kind === "cart") return cartPage();
  if (kind === "thanks") return thanks();
  return listing("Popular", goods, null);
}

function visited([kind, name]) {
  const product = kind === "product" && byId.get(name);
  if (kind === "search") return; // the search itself is the event
  if (product) tell("viewed: " + product.name, tracker.productView(named(product)));
  else tell("page: " + (kind || "popular"), tracker.pageView({page_type: kind || "home"}));
}

let shown = null;
function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/");
  const main = place("main");
  main.replaceChildren(...pageOf(parts));
  if (location.hash === shown) return;
  if (shown !== null) {
    window.scrollTo(0, 0);
    main.focus({preventScroll: true});
  }
  shown = location.hash;
  visited(parts);
}

/* --- what the store knows -------------------------------------------------------------------- */

const PATTERNS = {
  product_comparison: "compares products of one category",
  cart_abandonment_risk: "may leave a cart behind",
};

function showRow(row) {
  const features = row ? row.features : {};
  showPulse(place("pulse"), row);
  const pattern = features.pattern_detected || "";
  show(place("pattern"), "p" + pattern, () => pattern
    ? h("span", {class: "chip loud", title: pattern}, PATTERNS[pattern] || pattern)
    : h("span", {class: "small muted"}, "none: compare three of a kind, put two into the cart"));
  const latest = (features.recent_product_ids || []).slice().reverse().slice(0, 12);
  show(place("latest"), "l" + latest.join(), () => latest.length
    ? latest.map((id) => byId.get(id)).filter(Boolean).map((product) =>
        h("a", {href: "#/product/" + product.product_id, title: product.name, "aria-label": product.name}, picture(product)))
    : h("span", {class: "small muted"}, "Look at a product, and it stands here."));
  const figures = [
    ["Views", features.view_count_1h ?? 0],
    ["Into the cart", features.cart_count_1h ?? 0],
    ["Bought", features.purchase_count_1h ?? 0],
    ["Mean price", money(features.avg_viewed_price_1h)],
    ["Spent", money(features.purchase_amount_1h)],
    ["Cart per view", share(features.cart_to_view_rate_1h)],
  ];
  show(place("figures"), JSON.stringify(figures), () =>
    figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
}

function showSuggested(answer) {
  const items = answer ? answer.items.filter((item) => byId.has(item.id)).slice(0, 5) : [];
  show(place("suggested"), "s" + JSON.stringify(items.map((item) => [item.id, item.because])), () => items.length
    ? h("ol", {class: "suggested"}, items.map((item) => {
        const product = byId.get(item.id);
        return h("li", {}, h("a", {href: "#/product/" + item.id}, picture(product),
          h("span", {}, h("strong", {}, product.name), h("span", {class: "small muted"}, item.because || item.reason || ""))));
      }))
    : h("span", {class: "small muted"}, "Nothing yet."));
  return items.length > 0;
}

const suggest = suggestions(read, showSuggested);
const suggested = "/v1/recommendations/" + encodeURIComponent(who.id()) + "?k=8&domain=commerce";

async function look() {
  try {
    const row = await rowOf("commerce_user_features", who.id());
    showRow(row);
    await suggest(suggested, row ? row.updated_at : null);
  } catch (error) {
    showAway(place("pulse"));
  }
}

/* --- start ----------------------------------------------------------------------------------- */

place("visitor").textContent = who.id();
place("another").addEventListener("click", () => { sessionStorage.removeItem(CART); who.change(); });
place("replay").href = "/samples/replay?session=" + encodeURIComponent(tracker.sessionId());
place("search").addEventListener("change", (event) => {
  const query = event.target.value.trim();
  if (query) location.hash = "#/search/" + encodeURIComponent(query);
});
window.addEventListener("hashchange", route);
keep();
route();
every(500, look);
