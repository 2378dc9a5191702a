// How images come: chosen, dropped anywhere on the page, or pasted.

import { byId } from "./dom.js";

/** Calls `take` with the files of each choice, drop or paste, and `miss` with why where none came. */
export function openIntake(take, miss) {
  openChoice(take);
  openDrop(take, miss);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return; // text for the token, perhaps
    event.preventDefault();
    take(files);
  });
}

function openChoice(take) {
  const input = byId("files");
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    if (files.length) take(files);
  });
}

function openDrop(take, miss) {
  const zone = byId("drop-zone");
  const mark = (isOver) => zone.classList.toggle("is-over", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
    else miss("There was no file in what was dropped. Save the image first, then drop its file.");
  });
}
