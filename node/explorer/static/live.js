// Keeps a page up to date: it reads anew on events, at most once at a time and not faster than one can read.

import { clear, h } from "./dom.js";

const REST_MS = 400;

/**
 * Calls `read()` now, and again after each event of the topics and after each new connection.
 *
 * Resolves once the first reading is shown, to a function that ends it. Raises what the first reading raises;
 * a later failure is said in `notice`, and the page stays as it was.
 */
export async function live(chain, topics, read, notice = null) {
  let running = false, due = false, ended = false, timer = null;
  const again = async () => {
    timer = null;
    if (ended) return;
    if (running) {
      due = true;
      return;
    }
    running = true;
    due = false;
    try {
      await read();
      if (notice) clear(notice);
    } catch (error) {
      if (error.code !== "connection_lost" && notice && !ended) {
        const text = `This page could not be brought up to date: ${error.message}`;
        clear(notice, h("p", { class: "notice bad" }, text));
      }
    } finally {
      running = false;
    }
    if (due) soon();
  };
  const soon = () => {
    due = true;
    if (!running && timer === null && !ended) timer = setTimeout(again, REST_MS);
  };
  const ends = topics.map((topic) => chain.subscribe(topic, soon));
  let connections = 0;
  ends.push(chain.onState((state) => { if (state === "open" && connections++) soon(); }));
  const end = () => {
    ended = true;
    clearTimeout(timer);
    for (const stop of ends) stop();
  };
  running = true;
  try {
    await read();
  } catch (error) {
    end();
    throw error;
  } finally {
    running = false;
  }
  if (due) soon();
  return end;
}
