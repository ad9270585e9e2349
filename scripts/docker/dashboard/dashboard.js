// Shows what the application says of itself: /health, and /metrics as Prometheus reads them. It makes nothing up: where
// the application does not answer, that is what stands here.
"use strict";

const at = (id) => document.getElementById(id);

function rows(table, all) {
  at(table).replaceChildren(...all.map((cells) => {
    const row = document.createElement("tr");
    for (const text of cells) {
      const cell = row.insertCell();
      cell.textContent = text;
      if (["healthy", "degraded", "unhealthy"].includes(text)) cell.className = text;
    }
    return row;
  }));
}

function say(status, text) {
  at("status").textContent = text;
  at("status").className = status;
}

async function ask(path) {
  return fetch("cgi-bin/ask/" + path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
}

async function look() {
  try {
    const health = await (await ask("health")).json();
    say(health.status, health.status + " at " + new Date().toLocaleTimeString());
    at("version").textContent = health.version;
    rows("checks", Object.entries(health.checks).map(([name, c]) => [name, c.status, c.message || ""]));
    const metrics = await (await ask("metrics")).text();
    rows("metrics", metrics.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => line.split(" ")));
  } catch (err) {
    say("unreachable", "no answer: " + err.message);
    rows("checks", []);
    rows("metrics", []);
  }
}

look();
setInterval(look, 5000);
