import { letEventsIn, prepare } from "./prepared.js";
import { PROJECT, Rehearsal } from "./rehearsal.js";

const r = new Rehearsal({ say: console.log, withGcloud: true });
await r.open();
try {
  prepare(r.project);
  r.tagRelease("v1.2.3");
  for (const n of [5, 6]) await r.printedStep(n);
  await r.command("deploy", "npx firebase deploy --project $PROJECT --non-interactive --force", { isUnattended: true });
  r.checkDeployed();
  letEventsIn(r.project);
  console.log("deployed");
  const t = Date.now();
  console.log("handled", r.cloud.handled, Date.now() - t);
  for (const n of [10, 11, 12]) {
    console.log("step", n);
    await r.printedStep(n);
  }
} catch (e) {
  console.error(e);
  console.error(r.cloud.lines.slice(-30).join("\n"));
}
for (const q of r.google.requests) if (q.status >= 400) console.log(q.status, q.method, q.host, q.path);
await r.close();
process.exit();
