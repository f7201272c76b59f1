/* The live socket: one per page, resumed from the last point seen, polled around when it is blocked.
   HTML frames go to htmx (out-of-band swaps), numbers to listeners of "live:points". */
(function () {
  "use strict";
  const FIRST_DELAY = 1000, LONGEST_DELAY = 30000, BANNER_AFTER = 5, POLL_AFTER = 2;
  /* Until the server has said how often it speaks. */
  const SILENCE = 75000;
  const FINAL_STATES = ["completed", "failed", "cancelled"];
  const body = document.body;
  if (!body || !body.dataset.user) return;
  const cursors = new Map();
  let socket = null, timer = 0, tries = 0, poller = 0, ended = false, quiet = 0, silence = 0;

  function collect() {
    document.querySelectorAll("[data-live-session]").forEach((element) => {
      const id = Number(element.dataset.liveSession);
      if (!cursors.has(id)) cursors.set(id, Number(element.dataset.liveAfter || 0));
    });
  }

  function address() {
    const url = new URL("/ws/live/", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    cursors.forEach((after, id) => { url.searchParams.append("session", id); url.searchParams.append("after", after); });
    const view = document.querySelector("[data-live-view]");
    url.searchParams.set("view", view ? view.dataset.liveView + (document.getElementById("session-curves") && !window.uPlot ? "-svg" : "") : "none");
    if (document.querySelector("[data-live-quotes]")) url.searchParams.set("quotes", "1");
    url.searchParams.set("language", document.documentElement.lang.toLowerCase());
    return url;
  }

  function show(state) {
    document.querySelectorAll("[data-live-state]").forEach((element) => {
      element.dataset.liveState = state;
      const word = element.querySelector("[data-live-word]");
      if (word && word.textContent !== (element.dataset[state] || "")) word.textContent = element.dataset[state] || "";
      const retry = element.querySelector("[data-live-retry]");
      if (retry) retry.hidden = state !== "lost";
    });
  }

  function tell(name, detail) { document.dispatchEvent(new CustomEvent("live:" + name, { detail })); }

  function forget(id) { cursors.delete(id); }

  function data(frame) {
    if (frame.type === "ping") socket.send('{"type":"pong"}');
    if (frame.heartbeat_s) silence = 2500 * frame.heartbeat_s;
    if (frame.type === "notice" || frame.type === "quotes") tell(frame.type, frame);
    if (!("session" in frame) || !cursors.has(frame.session)) return;
    if (!frame.reset && frame.seq <= cursors.get(frame.session)) return;
    cursors.set(frame.session, frame.seq);
    tell(frame.reset ? "reset" : "points", frame);
    if (FINAL_STATES.includes(frame.status)) forget(frame.session);
    if (!cursors.size) document.querySelectorAll(".livebar").forEach((bar) => { bar.hidden = true; });
  }

  function receive(event) {
    if (event.target !== socket) return;
    tries = 0;
    poll(false);
    show("connected");
    if (event.data[0] === "<") htmx.swap(body, event.data, { swapStyle: "none", swapDelay: 0, settleDelay: 0 });
    else {
      const frame = JSON.parse(event.data);
      (frame.frames || [frame]).forEach(data);
    }
    listen();
  }

  /* The fragments of the page ask for themselves while no socket is up, and stop with status 286. */
  function poll(on) {
    if (on === Boolean(poller)) return;
    document.querySelectorAll("[data-live-poll]").forEach((element) => {
      if (on) element.setAttribute("hx-trigger", "every 2s"); else element.removeAttribute("hx-trigger");
      htmx.process(element);
    });
    if (on) poller = setInterval(() => tell("poll", {}), 2000); else { clearInterval(poller); poller = 0; }
  }

  /* The server says something at each heartbeat: a line that misses two is dead, though nobody closed it. */
  function listen() {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      const dead = socket;
      if (!dead) return;
      lost({ target: dead, code: 1006 });
      dead.close();
    }, silence);
  }

  function lost(event) {
    if (event.target !== socket) return;
    socket = null;
    clearTimeout(quiet);
    if (event.code >= 4400 && event.code < 4500) {
      ended = true;
      show({ 4401: "loggedout", 4410: "closed", 4429: "crowded" }[event.code] || "refused");
      if (event.code === 4429 || event.code === 4410) poll(true);
      return;
    }
    tries += 1;
    show(tries >= BANNER_AFTER ? "lost" : "reconnecting");
    if (tries >= POLL_AFTER) poll(true);
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (tries - 1));
    timer = setTimeout(open, delay * (0.5 + Math.random() / 2));
  }

  function open() {
    clearTimeout(timer);
    if (socket || ended || document.hidden) return;
    collect();
    try { socket = new WebSocket(address(), ["html"]); } catch (error) { poll(true); return; }
    socket.onmessage = receive;
    socket.onclose = lost;
    silence = SILENCE;
    listen();
  }

  function close() {
    clearTimeout(timer);
    if (!socket) return;
    const old = socket;
    socket = null;
    clearTimeout(quiet);
    old.close(1000);
  }

  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  window.addEventListener("online", () => { close(); open(); });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-live-retry]")) { ended = false; tries = 0; close(); open(); }
  });
  document.addEventListener("live:seen", (event) => cursors.set(event.detail.session, event.detail.seq));
  /* A list that was drawn anew may hold other sessions: follow those. */
  document.addEventListener("htmx:afterSettle", () => {
    const before = cursors.size;
    collect();
    if (cursors.size > before && socket) { close(); open(); }
  });
  /* Deferred scripts behind this one (the chart library) have run by then. */
  document.addEventListener("DOMContentLoaded", open);
})();
