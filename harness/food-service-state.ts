/** Generates state files of the food service with many orders, in seconds instead of hours of simulation. */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { FoodServiceEvent } from "../services/food-service/model/food-service-event.js";

/** Writes the state of a food service with this many delivered orders, followed by this many new ones. */
export function seedFoodServiceState(folder: string, { finished, active }: { finished: number; active: number }): void {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, "food-service.jsonl"), "w");
  const began = Date.now() - 2 * (finished + active);
  let lines: string[] = [];
  const write = (event: FoodServiceEvent) => {
    lines.push(JSON.stringify(event));
    if (lines.length === 10_000) flush();
  };
  const flush = () => {
    if (lines.length > 0) writeSync(file, `${lines.join("\n")}\n`);
    lines = [];
  };
  for (let number = 0; number < finished; number++) {
    const name = `orders/old-${number}`;
    const at = began + number;
    write({ kind: "order", name, at, customerId: "krithik", cancelAt: null });
    write({ kind: "update", name, at, status: "DELIVERED", by: "orchestrator" });
  }
  for (let number = 0; number < active; number++) {
    const at = began + finished + number;
    write({ kind: "order", name: `orders/active-${number}`, at, customerId: "krithik", cancelAt: null });
  }
  flush();
  closeSync(file);
}
