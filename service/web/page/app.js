// Wires the page: what is sent, what is chosen, what is drawn, and the token that may be wanted for it.

import { Chooser } from "./chooser.js";
import { byId, say } from "./dom.js";
import { Gallery } from "./gallery.js";
import { openIntake } from "./intake.js";
import { Live } from "./live.js";
import { Server } from "./server.js";

const MODELS_EVERY_MS = 3000;

const server = new Server();
const chooser = new Chooser((sentence) => say(byId("notice"), sentence));
const live = new Live(server);
let description = null;
let timer = 0;
const gallery = new Gallery(
  server,
  () => chooser.choice,
  () => Boolean(description?.paths["/api/v1/explain"]),
);

/** Asks for the description once, and again when the server comes back: it may be another one. */
async function follow() {
  clearTimeout(timer);
  let isRefused = false;
  try {
    description ??= await describe();
    isRefused = wantsToken();
    if (isRefused) askForToken("This server wants a token that opens classify.");
    else await followModels();
  } catch (problem) {
    isRefused = problem.wantsToken;
    if (!isRefused) say(byId("server-state"), `${problem.message} It is asked again every few seconds.`);
    if (problem.kind === "unreachable") description = null;
  }
  clearTimeout(timer); // of another round that began meanwhile
  if (!isRefused && !document.hidden) timer = setTimeout(follow, MODELS_EVERY_MS);
}

async function describe() {
  const found = await server.description();
  live.begin(found);
  return found;
}

function wantsToken() {
  return Boolean(description.paths["/api/v1/models"].get.security) && !server.hasToken;
}

async function followModels() {
  const { models } = await server.models();
  chooser.follow(models);
  byId("token-form").hidden = true;
  const reasons = chooser.isEmpty ? await server.unreadyReasons() : [];
  say(byId("server-state"), reasons.length ? `Nothing can be classified yet: ${reasons.join("; ")}.` : "");
}

function askForToken(why) {
  byId("token-form").hidden = false;
  byId("token-why").textContent = why;
  say(byId("server-state"), "");
}

async function takeToken(event) {
  event.preventDefault();
  try {
    server.token = byId("token").value.trim();
  } catch (problem) {
    askForToken(problem.message);
    return;
  }
  byId("token").value = "";
  await follow();
  if (!byId("token-form").hidden) {
    byId("token").focus();
    return;
  }
  byId("files").focus();
  live.begin(description);
  gallery.retryWhere((problem) => problem.wantsToken);
}

server.onTokenWanted = (problem) => askForToken(problem.message);
byId("token-form").addEventListener("submit", takeToken);
document.addEventListener("visibilitychange", () => document.hidden || follow());
openIntake(
  (images) => {
    say(byId("notice"), "");
    gallery.add(images);
  },
  (sentence) => say(byId("notice"), sentence),
);
follow();
