/*
 * The browser's side of the collector, without dependencies.
 *
 *   const tracker = userflow.start({url: "", key: "uf_...", userId: "u-42"});
 *   tracker.productView({product_id: "p-1", category: "shoes", price: 79});
 *   const reading = tracker.read("ep-7", {country: "KR"});
 *
 * Events wait in a queue that survives a reload, until the collector has answered for them. Each
 * carries an id, so that what is sent twice counts once. The key must be one that may only collect:
 * whoever opens the page can read it.
 */
(function () {
  "use strict";

  const SESSION_IDLE_MS = 30 * 60 * 1000;
  const ORPHANED_MS = 60 * 1000;
  const BEACON_BYTES = 60 * 1000; // browsers let 64 KiB be under way
  const DEFAULTS = {
    url: "",
    key: "",
    userId: null,
    platform: "web",
    batchSize: 50,
    batchMs: 1000,
    maxQueue: 1000,
    firstRetryMs: 500,
    longestRetryMs: 30000,
    onTrack: null, // each event, when it is queued
    onResult: null, // each event, with what the collector said of it
  };

  function uuid() {
    if (window.crypto.randomUUID) return window.crypto.randomUUID();
    const bytes = window.crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  function deviceType() {
    const width = Math.min(window.screen.width, window.screen.height);
    const touches = window.matchMedia("(pointer: coarse)").matches;
    if (!touches) return "desktop";
    return width < 600 ? "mobile" : "tablet";
  }

  function countryOf(language) {
    const region = /[-_]([A-Za-z]{2})$/.exec(language || "");
    return region ? region[1].toUpperCase() : "ZZ"; // ISO-3166 leaves ZZ to its users
  }

  /* Storage that may be switched off or full: then the memory of this page has to do. */
  function storage(name) {
    let real = null;
    try {
      real = window[name];
    } catch (error) {
      real = null;
    }
    const guarded = (work, fallback) => {
      try {
        return real ? work(real) : fallback;
      } catch (error) {
        return fallback;
      }
    };
    return {
      read: (key) => guarded((it) => JSON.parse(it.getItem(key)), null),
      write: (key, value) => guarded((it) => it.setItem(key, JSON.stringify(value)), undefined),
      remove: (key) => guarded((it) => it.removeItem(key), undefined),
      keys: () => guarded((it) => Object.keys(it), []),
    };
  }

  const session = storage("sessionStorage");
  const local = storage("localStorage");

  /* One queue for each tab: two that wrote the same one would lose each other's events. */
  function openQueue(limit) {
    const tab = session.read("userflow.tab") || uuid();
    session.write("userflow.tab", tab);
    const own = "userflow.queue." + tab;
    const kept = local.read(own);
    let entries = kept && Array.isArray(kept.entries) ? kept.entries : [];
    let dropped = 0;

    function save() {
      if (entries.length) local.write(own, {at: Date.now(), entries: entries});
      else local.remove(own);
    }

    function bound() {
      const over = entries.length - limit;
      if (over > 0) {
        entries.splice(0, over);
        dropped += over;
      }
    }

    /* What a tab left behind when it was closed. One that lives writes its queue more often. */
    function adopt() {
      for (const key of local.keys()) {
        if (key === own || key.indexOf("userflow.queue.") !== 0) continue;
        const other = local.read(key);
        if (!other || !(Date.now() - other.at > ORPHANED_MS)) continue;
        local.remove(key);
        entries = (other.entries || []).concat(entries);
      }
      bound();
      save();
    }

    adopt();
    return {
      add(entry) {
        entries.push(entry);
        bound();
        save();
      },
      first: (count) => entries.slice(0, count),
      all: () => entries.slice(),
      remove(done) {
        const ids = new Set(done.map((entry) => entry.event.event_id));
        entries = entries.filter((entry) => !ids.has(entry.event.event_id));
        save();
      },
      touch: save,
      size: () => entries.length,
      dropped: () => dropped,
    };
  }

  function sessionId() {
    const now = Date.now();
    const known = session.read("userflow.session") || memory;
    const lives = known && now - known.at < SESSION_IDLE_MS;
    const current = {id: lives ? known.id : uuid(), at: now};
    memory = current;
    session.write("userflow.session", current);
    return current.id;
  }
  let memory = null;

  function start(given) {
    const options = Object.assign({}, DEFAULTS, given);
    const queue = openQueue(options.maxQueue);
    const leaving = [];
    const counts = {accepted: 0, rejected: 0, retries: 0, batches: 0, beacons: 0};
    const device = deviceType();
    let userId = options.userId;
    let timer = null;
    let sending = null;
    let attempt = 0;
    const handed = new Set(); // ids that a beacon has taken: one is enough
    let refused = false; // the key is not taken: asking again would not help

    function track(topic, type, fields) {
      const event = Object.assign(
        {
          event_id: uuid(),
          session_id: sessionId(),
          event_type: type,
          timestamp: new Date().toISOString(),
          platform: options.platform,
        },
        userId === null || userId === undefined ? {} : {user_id: String(userId)},
        fields,
      );
      queue.add({topic: topic, event: event});
      if (options.onTrack) options.onTrack(event);
      if (queue.size() >= options.batchSize) soon(0);
      else soon(options.batchMs);
      return event.event_id;
    }

    function soon(ms) {
      if (refused || sending || (timer && (attempt || ms))) return;
      clearTimeout(timer);
      timer = setTimeout(flush, ms);
    }

    /* The first events of the queue that go to one topic. */
    function nextBatch(size) {
      const first = queue.first(size);
      return first.filter((entry) => entry.topic === first[0].topic);
    }

    function flush() {
      clearTimeout(timer);
      timer = null;
      if (sending || refused || !queue.size()) return sending || Promise.resolve();
      queue.touch();
      sending = post(nextBatch(options.batchSize)).then((wait) => {
        sending = null;
        if (queue.size() && !refused) timer = setTimeout(flush, wait);
      });
      return sending;
    }

    /* Sends once; the result is how long to wait before the next. */
    function post(batch) {
      return window
        .fetch(address(batch[0].topic), {
          method: "POST",
          headers: {"content-type": "application/json", authorization: "Bearer " + options.key},
          body: body(batch),
        })
        .then((answer) => settle(answer, batch), () => retryAfter(null));
    }

    function settle(answer, batch) {
      if (answer.status === 202) return taken(answer, batch);
      if (answer.status === 401 || answer.status === 403) {
        refused = true;
        console.warn("userflow: the collector does not take this key (" + answer.status + ")");
        return 0;
      }
      if (answer.status === 413 && batch.length > 1) {
        options.batchSize = Math.ceil(batch.length / 2);
        return 0;
      }
      if (answer.status < 500 && answer.status !== 429) {
        console.warn("userflow: the collector refused a batch (" + answer.status + ")");
        queue.remove(batch);
        return 0;
      }
      return retryAfter(answer.headers.get("retry-after"));
    }

    function taken(answer, batch) {
      attempt = 0;
      counts.batches += 1;
      batch.forEach((entry) => handed.delete(entry.event.event_id));
      queue.remove(batch);
      return answer.json().then((told) => {
        told.results.forEach((result, at) => {
          counts[result.status] += 1;
          if (result.status === "rejected") {
            console.warn("userflow: " + batch[at].event.event_type + ": " + result.reason);
          }
          if (options.onResult) options.onResult(batch[at].event, result);
        });
        return queue.size() >= options.batchSize ? 0 : options.batchMs;
      }, () => options.batchMs);
    }

    /* Twice as long each time, never sooner than asked, and not all pages at the same moment. */
    function retryAfter(asked) {
      counts.retries += 1;
      attempt += 1;
      const backoff = Math.min(options.longestRetryMs, options.firstRetryMs * 2 ** (attempt - 1));
      const told = Number(asked) > 0 ? Math.min(Number(asked) * 1000, options.longestRetryMs) : 0;
      return Math.max(told, backoff) * (1 + Math.random() / 4);
    }

    function address(topic) {
      return options.url + "/v1/events?topic=" + encodeURIComponent(topic);
    }

    function body(batch) {
      return JSON.stringify(batch.map((entry) => entry.event));
    }

    /*
     * The page goes: what waits is handed to the browser. Nobody hears the answer, so it stays in
     * the queue, and the next page of this tab sends it again; by their ids the copies are known.
     */
    function leave() {
      if (refused || !navigator.sendBeacon) return;
      const byTopic = new Map();
      for (const entry of queue.all()) {
        if (handed.has(entry.event.event_id)) continue;
        byTopic.set(entry.topic, (byTopic.get(entry.topic) || []).concat([entry]));
      }
      for (const [topic, entries] of byTopic) beacon(topic, entries);
    }

    function beacon(topic, entries) {
      const target = address(topic) + "&key=" + encodeURIComponent(options.key);
      let rest = entries.slice(-options.batchSize * 4); // the newest, if it is too much for one
      while (rest.length) {
        const text = body(rest);
        const fits = new Blob([text]).size <= BEACON_BYTES;
        if (fits && navigator.sendBeacon(target, text)) {
          counts.beacons += 1;
          rest.forEach((entry) => handed.add(entry.event.event_id));
          return;
        }
        rest = rest.slice(Math.ceil(rest.length / 2));
      }
    }

    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") leave();
    });
    window.addEventListener("pagehide", () => {
      leaving.slice().forEach((work) => work());
      leave();
    });
    window.addEventListener("online", () => {
      attempt = 0;
      flush();
    });
    if (queue.size()) soon(0);

    /* Shopping: topic user-events. */
    const shop = (type, fields) =>
      track("user-events", type, Object.assign({device_type: device, page_url: here()}, fields));

    function here() {
      return window.location.href.slice(0, 2048);
    }

    return {
      track: track,
      flush: flush,
      identify(id) {
        userId = id;
      },
      sessionId: sessionId,
      pending: () => queue.size(),
      counts: () => Object.assign({dropped: queue.dropped()}, counts),
      pageView: (fields) =>
        shop("page_view", Object.assign({referrer: document.referrer || undefined}, fields)),
      productView: (product) => shop("product_view", product),
      click: (elementId, fields) => shop("click", Object.assign({element_id: elementId}, fields)),
      search: (query, fields) => shop("search", Object.assign({search_query: query}, fields)),
      addToCart: (product) => shop("add_to_cart", product),
      removeFromCart: (product) => shop("remove_from_cart", product),
      purchase: (order) => shop("purchase", Object.assign({order_id: uuid()}, order)),
      read: (episodeId, how) => read(episodeId, how || {}),
    };

    /*
     * Reading: topic webtoon_user_events. `enter` now; `scroll` while the reader moves on, at most
     * every 400 ms and 2 % of the page; `complete` near the end, once; `exit` when the reader leaves.
     */
    function read(episodeId, how) {
      const element = how.element || document.documentElement;
      const everyMs = how.everyMs || 400;
      const completeAt = how.completeAt || 0.98;
      const common = {
        episode_id: episodeId,
        country: how.country || countryOf(navigator.language),
        device: device,
      };
      const told = (type, fields) =>
        track("webtoon_user_events", type, Object.assign({}, common, fields));
      let deepest = 0;
      let last = -1;
      let waiting = null;
      let isOver = false;
      let isComplete = false;

      /* How much of the element has passed the lower edge of the window. */
      function ratio() {
        const box = element.getBoundingClientRect();
        if (!box.height) return 0;
        const seen = (window.innerHeight - box.top) / box.height;
        return Math.round(Math.min(1, Math.max(0, seen)) * 10000) / 10000;
      }

      function look() {
        waiting = null;
        if (isOver) return;
        const at = ratio();
        deepest = Math.max(deepest, at);
        if (Math.abs(at - last) >= 0.02) {
          last = at;
          told("scroll", {scroll_ratio: at});
        }
        if (at >= completeAt && !isComplete) {
          isComplete = true;
          told("complete", {scroll_ratio: at});
        }
      }

      function onScroll() {
        if (!waiting) waiting = setTimeout(look, everyMs);
      }

      function stop() {
        if (isOver) return;
        clearTimeout(waiting);
        look();
        isOver = true;
        window.removeEventListener("scroll", onScroll);
        leaving.splice(leaving.indexOf(stop), 1);
        told("exit", {scroll_ratio: deepest});
      }

      told("enter", {});
      window.addEventListener("scroll", onScroll, {passive: true});
      leaving.push(stop);
      return {stop: stop, ratio: ratio, deepest: () => deepest};
    }
  }

  window.userflow = {start: start, uuid: uuid};
})();
