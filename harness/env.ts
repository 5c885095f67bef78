/** Sets environment variables that clients read at their creation, only for that moment. */

/** Runs the work with these variables, and restores their earlier values. */
export function withEnvironment<T>(variables: Record<string, string>, work: () => T): T {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  Object.assign(process.env, variables);
  try {
    return work();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
