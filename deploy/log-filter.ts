/** Evaluates the filters of deploy/monitoring against log entries: comparisons with = that are joined by AND. */

/** An entry of Cloud Logging: what the functions log is in jsonPayload. */
export type LogEntry = { [field: string]: unknown };

/** @throws Error for a filter of another form */
export function matches(filter: string, entry: LogEntry): boolean {
  return filter.split(" AND ").every((comparison) => {
    const [, path, one, several] = /^([\w.]+)=(?:"([^"]*)"|\(("[^"]*"(?: OR "[^"]*")*)\))$/.exec(comparison) ?? [];
    if (path === undefined) throw new Error(`not a comparison that can be evaluated here: ${comparison}`);
    const allowed = one === undefined ? (several ?? "").split(" OR ").map((text) => text.slice(1, -1)) : [one];
    return allowed.includes(String(valueAt(path, entry)));
  });
}

/** What an extractor such as EXTRACT(jsonPayload.lag) takes from an entry. */
export function extract(extractor: string, entry: LogEntry): unknown {
  const [, path] = /^EXTRACT\(([\w.]+)\)$/.exec(extractor) ?? [];
  if (path === undefined) throw new Error(`not an extractor that can be evaluated here: ${extractor}`);
  return valueAt(path, entry);
}

function valueAt(path: string, entry: LogEntry): unknown {
  return path.split(".").reduce<unknown>((value, name) => (value as LogEntry | undefined)?.[name], entry);
}
