/** Converts a run's records into the evidence that the simulation's checker judges. */

import { attemptPath } from "../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import {
  CREATING_STAGES,
  type CreatingStage,
  KITCHEN_STATUSES,
  type KitchenStatus,
  ORDER_STATUSES,
  type OrderStatus,
  SHIPMENT_STATUSES,
  type ShipmentStatus,
  STAGES,
  statusFromCode,
} from "../functions/src/domain/order-lifecycle.js";
import type { DocumentWrite } from "../harness/event-bridge.js";
import type { Break, Call } from "../harness/food-service-proxy.js";
import { allCreated, type GroundTruth } from "../services/food-service/model/food-service-model.js";
import type { Operation } from "../simulation/faults.js";
import type { Run } from "../simulation/system.js";
import type { Entry } from "../simulation/world.js";
import type { EmptyTime } from "./empty-replica.js";
import type { Delivery, Pause } from "./fleet.js";
import type { EndedOrder } from "./other-program.js";

/** Everything that a run recorded. */
export interface Records {
  calls: readonly Call[];
  breaks: readonly Break[];
  deliveries: readonly Delivery[];
  pauses: readonly Pause[];
  writes: readonly DocumentWrite[];
  endedByOther: readonly EndedOrder[];
  emptied: readonly EmptyTime[];
  truth: GroundTruth;
}

/** The gRPC status numbers that mean that a create was certainly not applied. */
const REFUSALS = [3, 5, 7, 9, 11, 12, 16];

/** A response that leaves its caller less time than this may be too late on a busy machine. */
const IN_TIME = { share: 0.4, leftMs: 1_000 };

/** The outcome of a create for the process that sent it, as seen from outside. */
export type Outcome = "confirmed" | "refused" | "in doubt";

export interface Created {
  order: string;
  stage: CreatingStage;
  call: Call;
  run: Delivery | undefined;
  outcome: Outcome;
}

type Content = Pick<Entry, "operation" | "subject" | "about" | "result"> & Partial<Pick<Entry, "fault">>;

/** The calls that read a status, and the word for its number. */
const READS: Partial<Record<string, { operation: Operation; word(status: number): string }>> = {
  getOrder: { operation: "getOrder", word: (status) => statusFromCode<OrderStatus>(ORDER_STATUSES, status) },
  getKitchenOrder: {
    operation: "getKitchenOrder",
    word: (status) => statusFromCode<KitchenStatus>(KITCHEN_STATUSES, status),
  },
  getShipment: {
    operation: "getShipment",
    word: (status) => statusFromCode<ShipmentStatus>(SHIPMENT_STATUSES, status),
  },
};

/** The checker's name of a create's fault, by its outcome. */
const FAULTS = { confirmed: undefined, refused: "refused", "in doubt": "error after" } as const;

/** Reads a run's records. */
export class TraceReader {
  /** The order and stage of each idempotency key. */
  private readonly keys = new Map<string, { order: string; stage: CreatingStage }>();
  /** The order of each kitchen order and shipment. */
  private readonly owners = new Map<string, string>();
  private readonly byProcess = new Map<number, Delivery[]>();
  readonly creates: Created[];

  constructor(private readonly records: Records) {
    const { truth, deliveries, calls } = records;
    for (const { name } of truth.orders) {
      for (const stage of CREATING_STAGES) this.keys.set(idempotencyKey(name, stage), { order: name, stage });
    }
    for (const made of allCreated(truth)) {
      const owner = this.keys.get(made.idempotencyKey ?? "");
      if (owner) this.owners.set(made.name, owner.order);
    }
    for (const delivery of deliveries) {
      const there = this.byProcess.get(delivery.process) ?? [];
      there.push(delivery);
      this.byProcess.set(delivery.process, there);
    }
    this.creates = calls.flatMap((call) => {
      const made = this.keys.get(call.key);
      if (!made) return [];
      const run = this.runOf(call);
      return [{ ...made, call, run, outcome: this.outcomeOf(call, run) }];
    });
  }

  /** Runs of this stage for this order whose outcome is unknown because the instance crashed or was suspended. */
  troubledRuns(order: string, stage: CreatingStage): Delivery[] {
    return this.records.deliveries.filter(
      (run) =>
        run.function === STAGES[stage].function &&
        run.orders.includes(order) &&
        (run.ended === "lost" || this.wasCutOff(run)),
    );
  }

  /** The runs and effects in the checker's form. */
  history(): { history: Entry[]; runs: Run[] } {
    const entries = [...this.records.calls.flatMap((call) => this.entryOf(call)), ...this.claims()];
    entries.sort((one, other) => one.at - other.at);
    const history = entries.map((entry, index) => ({ ...entry, effect: index }));
    const common = { endedBefore: Number.POSITIVE_INFINITY, effects: [], pending: [], skew: 0 };
    const runs = this.records.deliveries.map(({ number, process, policy, ended }) => ({
      ...{ number, process, policy, ended },
      ...common,
    }));
    return { history, runs };
  }

  /** Whether a run may have sent something that never reached the proxy, or missed its reply. */
  private wasCutOff({ process, from, to = Number.POSITIVE_INFINITY }: Delivery): boolean {
    const during = (at: number) => at >= from && at <= to;
    return (
      this.records.breaks.some((broken) => broken.process === process && during(broken.at)) ||
      this.records.pauses.some((pause) => pause.process === process && pause.from <= to && pause.to >= from)
    );
  }

  private outcomeOf(call: Call, run: Delivery | undefined): Outcome {
    if (call.status !== undefined && REFUSALS.includes(call.status)) return "refused";
    if (call.status !== 0 || call.answeredAt === undefined) return "in doubt";
    const left = call.timeoutMs - (call.answeredAt - call.at);
    const late = left < Math.max(IN_TIME.share * call.timeoutMs, IN_TIME.leftMs);
    return late || !run || run.ended === "lost" || this.wasCutOff(run) ? "in doubt" : "confirmed";
  }

  /** The delivery in which an instance made a call: it has one at a time that is about the order. */
  private runOf(call: Call): Delivery | undefined {
    const order = this.orderOf(call);
    return this.byProcess
      .get(call.process)
      ?.find(
        (run) =>
          order !== undefined &&
          run.orders.includes(order) &&
          run.from <= call.at &&
          (run.to ?? Number.POSITIVE_INFINITY) >= call.at,
      );
  }

  private orderOf(call: Call): string | undefined {
    if (call.key) return this.keys.get(call.key)?.order;
    const { name, order } = call.request as { name?: string; order?: { name: string } };
    return order?.name ?? this.owners.get(name ?? "") ?? name;
  }

  private entryOf(call: Call): Entry[] {
    const run = this.runOf(call);
    if (!run) return [];
    const base = { effect: 0, at: call.at, process: call.process, run: run.number, applied: call.status === 0 };
    const what = this.contentOf(call, run);
    return what ? [{ ...base, fault: undefined, ...what }] : [];
  }

  /** The subject and the outcome of a call; undefined for calls that the checker ignores. */
  private contentOf(call: Call, run: Delivery): Content | undefined {
    const { method, key } = call;
    if (method === "createKitchenOrder" || method === "createShipment") {
      const outcome = this.outcomeOf(call, run);
      const result = outcome === "confirmed" ? "NEW" : undefined;
      return { operation: method, subject: key, about: key, result, fault: FAULTS[outcome] };
    }
    if (method === "updateOrder") {
      const { order } = call.request as { order: { name: string; status: number } };
      const target = statusFromCode<OrderStatus>(ORDER_STATUSES, order.status);
      return { operation: method, subject: target, about: `${order.name} ${target}`, result: undefined };
    }
    const read = READS[method];
    if (!read) return undefined;
    const { name = "" } = call.request as { name?: string };
    const { status = 0 } = (call.response ?? {}) as { status?: number };
    const result = call.status === 0 ? read.word(status) : undefined;
    return { operation: read.operation, subject: name, about: name, result };
  }

  /**
   * The claims: one before each create that came to the proxy, in its run; and those that were seen in the attempts but after
   * which no create came, in the runs that were cut off over them.
   */
  private claims(): Entry[] {
    const entries: Entry[] = [];
    const claim = (path: string, at: number, { process, number }: Delivery) =>
      entries.push({ ...EFFECT, at, process, run: number, operation: "commit", about: `create ${path}` });
    for (const { order, stage, call, run } of this.creates) {
      if (run) claim(attemptPath(stage, order.slice("orders/".length)), call.at - 1, run);
    }
    for (const { path, before, after, at } of this.records.writes) {
      const [, stage, id] = /^attempts\/(kitchen|shipment):(.+)$/.exec(path) ?? [];
      if (!id || !after || after.id === before?.id) continue;
      const order = `orders/${id}`;
      const runs = this.troubledRuns(order, stage as CreatingStage).filter(
        (run) =>
          run.from <= at &&
          (run.to ?? at) >= at &&
          !this.creates.some((made) => made.run === run && made.order === order),
      );
      for (const run of runs) {
        claim(path, at, run);
        // A call that was cut off before it reached the proxy still counts as sent: its sender cannot tell the difference.
        entries.push({ ...EFFECT, at: at + 1, process: run.process, run: run.number, about: path, fault: "late" });
      }
    }
    return entries;
  }
}

/** The common fields of claims; the checker numbers effects itself. */
const EFFECT = {
  effect: 0,
  operation: "read",
  subject: "",
  fault: undefined,
  result: undefined,
  applied: false,
} satisfies Partial<Entry>;
