/**
 * Runs the uploaded functions as the cloud does: the archive is unpacked and installed, and each function runs under
 * functions-framework, on the runtime and with the environment that the CLI requested. Cloud Scheduler, Pub/Sub and Firestore
 * deliver events only to functions that their accounts may call. The services behind the functions are local.
 */
import { execFile } from "node:child_process";
import { createSign } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { unzipSync } from "fflate";
import { messageEvent } from "../../harness/cloud-events.js";
import { addTrigger, eventOf } from "../../harness/document-events.js";
import { PubSubTopics } from "../../harness/emulators/pubsub-rest.js";
import { FunctionInstance } from "../../harness/function-instance.js";
import { nodeOf } from "./cloud-runtime.js";
import { makeCertificate, type Pair } from "./google/certificate.js";
import { type FunctionResource, hasRole, isCalledAt, type Project } from "./google/project.js";
import type { Google } from "./google/stand-in.js";
import { World } from "./world.js";

const HANDLING_TIMEOUT_MS = 180_000;
const TICK_MS = 1_000;

/** The cloud would have rejected something, or a function failed. */
class CloudError extends Error {
  override readonly name = "CloudError";
}

export class Cloud {
  /** How often each function has handled an event. */
  readonly handled: Record<string, number> = {};
  /** The last lines of each function's log. */
  readonly lines: string[] = [];
  private next: Pair | undefined;
  private readonly instances = new Map<string, FunctionInstance>();
  private readonly refusals = new Set<string>();
  private readonly subscribed = new Set<string>();

  private constructor(
    private readonly google: Google,
    private readonly directory: string,
    private readonly world: World,
  ) {}

  static async start(google: Google, directory: string): Promise<Cloud> {
    mkdirSync(directory, { recursive: true });
    return new Cloud(google, directory, await World.start(google, directory));
  }

  /** The certificate that the food service is going to change to, in PEM form. */
  async nextCertificate(): Promise<string> {
    this.next ??= await makeCertificate("the food service's next", ["food.example.com"]);
    return this.next.certificate;
  }

  /** Switches the food service to its next certificate, for new connections. */
  changeCertificate(): void {
    if (!this.next) throw new CloudError("the food service has no next certificate");
    this.world.changeCertificate(this.next);
  }

  /**
   * Unpacks and installs the source of a project's functions and starts each; resolves with the number of listening functions.
   * @throws CloudError with the output of the first one that does not start
   */
  async boot(project: Project): Promise<number> {
    await this.stopFunctions();
    const functions = Object.values(project.functions);
    const sources = [...new Set(functions.map(({ buildConfig }) => buildConfig.source.storageSource.object))];
    const runtimes = [...new Set(functions.map(({ buildConfig }) => buildConfig.runtime))];
    const builds = new Map<string, string>();
    for (const source of sources) builds.set(source, await this.build(source, await nodeOf(runtimes[0] ?? "")));
    for (const resource of functions) {
      const { runtime, source } = resource.buildConfig;
      const node = await nodeOf(runtime);
      await this.startFunction(project, resource, builds.get(source.storageSource.object) ?? "", node);
    }
    return this.instances.size;
  }

  /** As the buildpack does: the lock file's packages, none of those for development, and no scripts but gcp-build. */
  private async build(object: string, node: string): Promise<string> {
    const folder = join(this.directory, `build-${object.slice(0, 8)}`);
    const archive = this.google.objects.get(object);
    if (!archive) throw new CloudError(`nothing was uploaded as ${object}`);
    for (const [name, bytes] of Object.entries(unzipSync(archive))) {
      const path = join(folder, name);
      if (name.endsWith("/")) continue;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
    }
    const env = { ...process.env, NODE_ENV: "production", PATH: `${dirname(node)}:${process.env.PATH}` };
    const args = ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
    await promisify(execFile)("npm", args, { cwd: folder, env });
    return folder;
  }

  private async startFunction(
    project: Project,
    resource: FunctionResource,
    build: string,
    node: string,
  ): Promise<void> {
    const { serviceConfig, buildConfig, eventTrigger } = resource;
    const name = nameOf(resource);
    const { FUNCTION_TARGET, FUNCTION_SIGNATURE_TYPE, ...variables } = serviceConfig.environmentVariables ?? {};
    if (FUNCTION_TARGET !== buildConfig.entryPoint)
      throw new CloudError(`${name} was sent with the target ${FUNCTION_TARGET}`);
    if ((FUNCTION_SIGNATURE_TYPE === "cloudevent") !== Boolean(eventTrigger)) {
      throw new CloudError(`${name} was sent with the signature ${FUNCTION_SIGNATURE_TYPE}`);
    }
    const service = serviceConfig.service.split("/").at(-1) ?? "";
    const instance = await FunctionInstance.start({
      build,
      node,
      target: FUNCTION_TARGET,
      takes: eventTrigger ? "events" : "requests",
      env: {
        ...variables,
        ...secretsOf(project, resource),
        ...{
          K_SERVICE: service,
          K_CONFIGURATION: service,
          K_REVISION: project.run[serviceConfig.service]?.revisions.at(-1) ?? "",
        },
        ...this.world.environment,
      },
      onLine: (line) => this.keep(project, service, line),
    }).catch((error: Error) => {
      throw new CloudError(`${name} does not start: ${error.message}\n${this.lines.slice(-25).join("\n")}`);
    });
    this.instances.set(name, instance);
  }

  /** Cloud Logging takes a line that is JSON as jsonPayload, with its severity beside it. */
  private keep(project: Project, service: string, line: string): void {
    this.lines.push(`${service}: ${line}`);
    if (!line.startsWith("{")) return;
    const { severity = "DEFAULT", ...jsonPayload } = JSON.parse(line) as Record<string, unknown>;
    const at = new Date().toISOString();
    project.log.push({
      ...{ insertId: String(project.log.length), timestamp: at, receiveTimestamp: at, severity, jsonPayload },
      logName: `projects/${project.id}/logs/run.googleapis.com%2Fstderr`,
      resource: { type: "cloud_run_revision", labels: { service_name: service, project_id: project.id } },
    });
  }

  /** Fires a job as Cloud Scheduler does, if its account may call the function. */
  async fire(project: Project, name: string): Promise<void> {
    const job = Object.values(project.jobs).find(({ name: full }) => full.includes(`/jobs/firebase-schedule-${name}-`));
    if (!job) throw new CloudError(`there is no job for ${name}`);
    const target = Object.values(project.functions).find((one) => isCalledAt(one, job.httpTarget.uri));
    if (!target) throw new CloudError(`the job for ${name} calls ${job.httpTarget.uri}, which is no function`);
    const headers = {
      "Content-Type": "application/octet-stream",
      "X-CloudScheduler": "true",
      "X-CloudScheduler-JobName": job.name.split("/").at(-1),
      "X-CloudScheduler-ScheduleTime": new Date().toISOString(),
    };
    await this.call(project, target, job.httpTarget.oidcToken.serviceAccountEmail, headers, Buffer.alloc(0));
  }

  /**
   * Makes each function handle an event of its kind: places an order and carries it to its end.
   * @throws CloudError that names what did not happen
   */
  async handle(project: Project, timeoutMs = HANDLING_TIMEOUT_MS): Promise<void> {
    checkGrants(project);
    const before = { ...this.handled };
    await this.subscribe(project);
    const [order] = await this.world.place("krithik");
    const id = order?.split("/")[1] ?? "";
    const deadline = Date.now() + timeoutMs;
    while (this.world.food.model.truth().orders.find(({ name }) => name === order)?.status !== "DELIVERED") {
      if (Date.now() > deadline) throw new CloudError(this.story(`${order} was not delivered`));
      await this.fire(project, "pollOrders");
      await sleep(TICK_MS);
    }
    await this.fire(project, "sweep");
    const continuation = { holder: "a run that is over", step: 0, statuses: ["NEW"], pageToken: "" };
    await this.push(project, "poll-continuations", messageEvent("poll-continuations", continuation));
    await this.askApi(project, id);
    const idle = Object.keys(project.functions)
      .map((full) => full.split("/").at(-1) ?? "")
      .filter((name) => (this.handled[name] ?? 0) === (before[name] ?? 0));
    if (idle.length > 0) throw new CloudError(this.story(`nothing was handled by ${idle.join(", ")}`));
  }

  /** Calls the API like the console, with a token of Firebase Authentication. */
  private async askApi(project: Project, id: string): Promise<void> {
    const api = project.functions[Object.keys(project.functions).find((name) => name.endsWith("/api")) ?? ""];
    if (!api) throw new CloudError("there is no function api");
    const service = api.serviceConfig.service;
    if (!hasRole(project, service, "allUsers", "roles/run.invoker")) throw new CloudError("not everybody may call api");
    project.users["ana@example.com"] ??= { localId: "ana" };
    const headers = { Authorization: `Bearer ${this.tokenOf(project, "ana", "operator")}` };
    const response = await fetch(`${this.instances.get("api")?.origin}/api/relations/${id}`, { headers });
    const text = await response.text();
    if (response.status !== 200) throw new CloudError(`api answered ${response.status}: ${text}`);
    const { relation } = JSON.parse(text) as { relation?: { customer?: object; state?: string } };
    if (!relation?.customer || relation.state !== "DELIVERED") {
      throw new CloudError(`api shows an order that is not done: ${text}`);
    }
    this.count("api");
  }

  private tokenOf(project: Project, uid: string, role: string): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: `https://securetoken.google.com/${project.id}`, aud: project.id, sub: uid, user_id: uid, role },
      ...{ auth_time: now - 10, iat: now - 10, exp: now + 3600 },
    };
    const unsigned = `${part({ alg: "RS256", kid: "stand-in", typ: "JWT" })}.${part(claims)}`;
    return `${unsigned}.${createSign("RSA-SHA256").update(unsigned).sign(this.google.key, "base64url")}`;
  }

  /** Connects the emulators' events to their deployed functions. */
  private async subscribe(project: Project): Promise<void> {
    const { pubsub, firestore, events } = this.world;
    events.take = (path, headers, body) => this.take(project, path, headers, body);
    for (const resource of Object.values(project.functions)) {
      const { eventTrigger } = resource;
      const name = nameOf(resource);
      if (!eventTrigger || this.subscribed.has(name)) continue;
      this.subscribed.add(name);
      if (eventTrigger.pubsubTopic) {
        const topic = eventTrigger.pubsubTopic.split("/").at(-1) ?? "";
        await new PubSubTopics(pubsub, project.id).pushTo(topic, [`http://${events.address}/push/${topic}`]);
        continue;
      }
      const filter = (attribute: string) =>
        eventTrigger.eventFilters?.find((one) => one.attribute === attribute)?.value;
      await addTrigger(firestore, project.id, name, {
        eventType: eventTrigger.eventType,
        database: filter("database"),
        namespace: filter("namespace"),
        document: filter("document"),
      });
    }
  }

  /** Delivers an emulator's event; false makes the emulator redeliver it. */
  private async take(project: Project, path: string, headers: IncomingHttpHeaders, body: string): Promise<boolean> {
    const [, topic] = /^\/push\/([^/]+)$/.exec(path) ?? [];
    if (topic) {
      const { message } = JSON.parse(body) as { message: { data: string } };
      const payload = JSON.parse(Buffer.from(message.data, "base64").toString()) as object;
      return this.push(project, topic, messageEvent(topic, payload));
    }
    const name = path.split("/").at(-1) ?? "";
    const resource = Object.values(project.functions).find((one) => nameOf(one) === name);
    if (!resource) return true;
    const event = eventOf(headers, body);
    return this.call(project, resource, triggerAccount(resource), event.headers, event.body);
  }

  private async push(project: Project, topic: string, event: object): Promise<boolean> {
    const resource = Object.values(project.functions).find((one) =>
      one.eventTrigger?.pubsubTopic?.endsWith(`/${topic}`),
    );
    if (!resource) throw new CloudError(`no function takes messages of ${topic}`);
    const headers = { "content-type": "application/cloudevents+json" };
    return this.call(project, resource, triggerAccount(resource), headers, Buffer.from(JSON.stringify(event)));
  }

  /** Calls a function as an account, if that account may. */
  private async call(
    project: Project,
    resource: FunctionResource,
    account: string,
    headers: OutgoingHttpHeaders,
    body: Buffer,
  ): Promise<boolean> {
    const name = nameOf(resource);
    if (!hasRole(project, resource.serviceConfig.service, `serviceAccount:${account}`, "roles/run.invoker")) {
      this.refusals.add(`${account} may not call ${name} (403)`);
      return false;
    }
    const status = await this.instances
      .get(name)
      ?.forward(headers, body)
      .catch((error: Error) => error.message);
    if (typeof status === "number" && status < 300) {
      this.count(name);
      return true;
    }
    this.refusals.add(`${name} answered ${status}`);
    return false;
  }

  private count(name: string): void {
    this.handled[name] = (this.handled[name] ?? 0) + 1;
  }

  private story(what: string): string {
    return [what, ...this.refusals, ...this.lines.slice(-12)].join("\n  ");
  }

  async stopFunctions(): Promise<void> {
    for (const instance of this.instances.values()) await instance.stop();
    this.instances.clear();
  }

  async stop(): Promise<void> {
    await this.stopFunctions();
    await this.world.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Checks the roles that the functions need in the cloud but not on the emulators. */
function checkGrants(project: Project): void {
  for (const resource of Object.values(project.functions)) {
    const account = resource.serviceConfig.serviceAccountEmail ?? "";
    const name = nameOf(resource);
    const topics = name === "pollOrders" || name === "continuePoll" ? project.topics : [];
    const needed = [
      ["", "roles/datastore.user"],
      ...topics.map((topic) => [topic, "roles/pubsub.publisher"]),
      ...(name === "api" ? [["", "roles/firebaseauth.viewer"]] : []),
    ];
    for (const [where = "", role = ""] of needed) {
      if (hasRole(project, where, `serviceAccount:${account}`, role)) continue;
      throw new CloudError(`${account} has not the role ${role}${where && ` on ${where}`}, which ${name} needs`);
    }
  }
}

const nameOf = ({ name }: FunctionResource) => name.split("/").at(-1) ?? "";

const triggerAccount = ({ eventTrigger, serviceConfig }: FunctionResource) =>
  eventTrigger?.serviceAccountEmail ?? serviceConfig.serviceAccountEmail ?? "";

function secretsOf(project: Project, { serviceConfig }: FunctionResource): Record<string, string> {
  const found = (serviceConfig.secretEnvironmentVariables ?? []).map(({ key, secret, version }) => {
    const versions = project.secrets[`projects/${project.id}/secrets/${secret}`]?.versions ?? [];
    const { data = "", state } = (version === "latest" ? versions.at(-1) : versions[Number(version) - 1]) ?? {};
    if (state !== "ENABLED") throw new CloudError(`version ${version} of ${secret} is ${state ?? "missing"}`);
    return [key, Buffer.from(data, "base64").toString()];
  });
  return Object.fromEntries(found) as Record<string, string>;
}
