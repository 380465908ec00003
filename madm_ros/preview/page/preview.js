"use strict";
// Asks for the state once a second, and shows the picture stream while somebody can see it. All text goes in as text.

const PERIOD_MS = 1000;
const LEVELS = { ok: "all well", warning: "warning", error: "error", stale: "no news" };
const STATES = {
  unconfigured: "not configured", configuring: "loading the model", inactive: "inactive", activating: "starting",
  active: "segmenting", deactivating: "stopping", cleaningup: "letting go of the model", shuttingdown: "shutting down",
  finalized: "finished", errorprocessing: "recovering from an error",
};
const element = (id) => document.getElementById(id);
const narrow = window.matchMedia("(max-width: 720px)");
let streaming = "";
let attempt = 0;

function show(id, value) {
  const text = String(value);
  if (element(id).textContent !== text) element(id).textContent = text;
}

function rounded(value) {
  if (value === null || value === undefined) return "\u2013";
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3).replace(/\.0+$/, "");
}

function reasons(counted) {
  return Object.entries(counted).map(([reason, number]) => `${number} ${reason.replaceAll("_", " ")}`).join(", ");
}

function sum(counted) {
  return Object.values(counted).reduce((total, number) => total + number, 0);
}

// A hidden page costs the robot nothing: its stream is let go.
function stream() {
  const layout = narrow.matches ? "column" : "row";
  const wanted = document.hidden ? "" : `/stream.mjpg?layout=${layout}&attempt=${attempt}`;
  if (wanted === streaming) return;
  streaming = wanted;
  element("strip").className = layout;
  if (wanted) element("stream").src = wanted;
  else element("stream").removeAttribute("src");
}

function legend(classes) {
  const list = element("legend");
  const key = JSON.stringify(classes.map((entry) => [entry.id, entry.name, entry.color]));
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...classes.map((entry) => {
      const [item, swatch, share] = ["li", "i", "small"].map((tag) => document.createElement(tag));
      swatch.style.backgroundColor = `rgb(${entry.color.join(" ")})`;
      item.title = `id ${entry.id}`;
      item.append(swatch, entry.name, share);
      return item;
    }));
  }
  classes.forEach((entry, index) => {
    const item = list.children[index];
    item.classList.toggle("absent", !entry.share);
    const percent = entry.share === null ? "" : entry.share > 0 && entry.share < 0.01 ? "<1 %" : `${Math.round(100 * entry.share)} %`;
    if (item.lastChild.textContent !== percent) item.lastChild.textContent = percent;
  });
}

function diagnostics(statuses) {
  element("diagnostics").replaceChildren(...statuses.flatMap((status) => {
    const [name, message] = ["dt", "dd"].map((tag) => document.createElement(tag));
    name.className = status.level;
    name.textContent = status.name;
    message.textContent = status.level === "ok" ? status.message : `${LEVELS[status.level]}: ${status.message}`;
    return [name, message];
  }));
}

// Stamps of a recording are years old, and milliseconds would not fit.
function readable(ms) {
  if (ms === null || Math.abs(ms) < 1e4) return [rounded(ms), "ms"];
  return Math.abs(ms) < 1e7 ? [rounded(ms / 1e3), "s"] : [rounded(ms / 8.64e7), "days"];
}

function banner(text, old) {
  element("banner").hidden = !text;
  show("banner", text);
  element("strip").classList.toggle("old", old);
}

function render(status) {
  const state = STATES[status.state] || status.state;
  const running = status.state === "active" && status.enabled;
  document.title = `${status.node}: ${state}`;
  show("node", status.node);
  show("model", status.description || status.model);
  show("state", status.state === "active" && !status.enabled ? "paused" : status.reloading ? `${state}, reloading` : state);
  element("state").className = `pill ${running ? "ok" : "stale"}`;
  show("level", status.state === "configuring" && status.level === "stale" ? "please wait" : LEVELS[status.level]);
  element("level").className = `pill ${status.level}`;
  show("rate-in", rounded(status.rate_in_hz));
  show("topic", status.topic);
  show("rate-out", rounded(status.rate_out_hz));
  show("published", `${status.published} of ${status.received} frames`);
  const latency = (stage) => status.latency_ms[stage] || [null, null, null];
  show("latency", rounded(latency("total")[0]));
  show("latency-more", `median; p99 ${rounded(latency("total")[1])}, longest ${rounded(latency("total")[2])}`);
  show("inference", rounded(latency("inference")[0]));
  show("inference-more", `median; p99 ${rounded(latency("inference")[1])}`);
  const [age, unit] = readable(latency("stamp_age")[0]);
  show("age", age);
  show("age-unit", unit);
  show("confidence", rounded(status.confidence === null ? null : 100 * status.confidence));
  show("dropped", sum(status.dropped));
  show("dropped-more", reasons(status.dropped));
  show("rejected", sum(status.rejected));
  show("rejected-more", reasons(status.rejected));
  legend(status.classes);
  diagnostics(status.diagnostics);
  const size = status.size ? `${status.size[1]} x ${status.size[0]} pixels. ` : "";
  const viewers = `${status.viewers} ${status.viewers === 1 ? "viewer" : "viewers"}. `;
  show("foot", `${size}${viewers}Diagnostics ${status.diagnostics_age_s === null ? "not yet published" : `${status.diagnostics_age_s} s ago`}.`);
  banner(status.problem || (running && !status.published ? `waiting for the first frame on ${status.topic}` : ""), !running && status.size !== null);
}

let lost = false;
async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/status.json", { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const status = await answer.json();
      if (lost) attempt += 1;
      lost = false;
      render(status);
    } catch {
      lost = true;
      show("level", "no connection");
      element("level").className = "pill error";
      banner("the node does not answer: it has ended, or the connection is gone. This page goes on trying.", true);
    }
    stream();
  }
  window.setTimeout(poll, PERIOD_MS);
}

// A stream that breaks off, or that was refused, is asked for again; not more often than the state is.
element("stream").addEventListener("error", () => {
  if (streaming) window.setTimeout(() => { attempt += 1; stream(); }, 2 * PERIOD_MS);
});
document.addEventListener("visibilitychange", stream);
narrow.addEventListener("change", stream);
// After the load event, which an endless picture would keep from happening.
window.addEventListener("load", poll);
