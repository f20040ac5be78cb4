// Every page: the path behind the #, the module in views/, and the word in the navigation, or, for a page
// that does not stand there, the path of the one `under` which it is.

export const routes = [
  { path: "", view: "overview", nav: "Overview" },
  { path: "rounds", view: "rounds", nav: "Rounds" },
  { path: "round/:id", view: "round", under: "rounds" },
  { path: "models", view: "models", nav: "Models" },
  { path: "model/:id", view: "model", under: "models" },
  { path: "draw/:id", view: "draw", under: "models" },
  { path: "blocks", view: "blocks", nav: "Blocks" },
  { path: "block/:id", view: "block", under: "blocks" },
  { path: "tx/:id", view: "tx", under: "blocks" },
  { path: "mempool", view: "mempool", nav: "Mempool" },
  { path: "account/:id", view: "account" },
  { path: "peers", view: "peers", nav: "Peers" },
  { path: "names", view: "names", nav: "Names" },
  { path: "search/:text", view: "search" },
];

/** The route of a path such as `/block/12?x=1`, with its parameters; null where no page has it. */
export function find(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const given = path.split("/").filter(Boolean);
  for (const route of routes) {
    const asked = route.path.split("/").filter(Boolean);
    if (asked.length !== given.length) continue;
    const params = { query: new URLSearchParams(query) };
    const fits = asked.every((part, at) => {
      if (!part.startsWith(":")) return part === given[at];
      params[part.slice(1)] = decoded(given[at]);
      return true;
    });
    if (fits) return { route, params };
  }
  return null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
