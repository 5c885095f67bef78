import { exhaustive, singleOrder } from "./explore.js";

const base = singleOrder("park");
for (let i = 0; i < 2; i++) {
  const t = process.cpuUsage();
  const r = await exhaustive(base, { part: 0, parts: 1 }, false);
  const u = process.cpuUsage(t);
  console.log(r.schedules, (u.user + u.system) / 1000 / r.schedules, "ms each");
}
