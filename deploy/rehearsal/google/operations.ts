/** Cloud Scheduler, Cloud Logging and Cloud Monitoring. */
import { randomUUID } from "node:crypto";
import { scheduleProblem } from "../../cloud-schedule.js";
import { matches } from "../../log-filter.js";
import { demand, exists, found, GoogleError, invalid } from "./errors.js";
import { checkAccount, type Job, type Project } from "./project.js";
import { type Call, checkEnabled, type Route, routes } from "./route.js";

function checkJob(project: Project, { schedule, timeZone = "UTC", httpTarget, attemptDeadline = "180s" }: Job): void {
  demand(scheduleProblem(schedule ?? "") === undefined, "Schedule or time zone is invalid.");
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    throw invalid("Schedule or time zone is invalid.");
  }
  demand(/^https?:\/\//.test(httpTarget?.uri ?? ""), "HttpTarget.uri must be a valid URL.");
  checkAccount(project, httpTarget.oidcToken?.serviceAccountEmail ?? "");
  const seconds = Number(/^(\d+)s$/.exec(attemptDeadline)?.[1]);
  demand(seconds >= 15 && seconds <= 1800, "The attempt deadline must be between 15 seconds and 30 minutes.");
}

function jobOf({ project, name }: Call): Job {
  return found(project.jobs, name, new GoogleError(404, "Job not found."));
}

/** The names of the user-defined metrics that an alert or a dashboard refers to. */
const metricsIn = (body: object) =>
  [...JSON.stringify(body).matchAll(/logging\.googleapis\.com\/user\/(\w+)/g)].map(([, name = ""]) => name);

/** A new metric can't be used at once. @throws GoogleError as Monitoring says it */
function checkMetrics({ google, project, body }: Call): void {
  for (const name of metricsIn(body)) {
    const metric = project.metrics[name];
    if (metric && metric.askedFor++ >= google.whims.metricMisses) continue;
    throw new GoogleError(
      404,
      `Cannot find metric(s) that match type = "logging.googleapis.com/user/${name}". If a metric was created recently, it could take up to 10 minutes to become available. Please try again soon.`,
    );
  }
}

function entries({ google, body }: Call): object {
  const [, id = ""] = /^projects\/([^/]+)$/.exec(body.resourceNames?.[0] ?? body.projectIds?.[0] ?? "") ?? [];
  const project = google.find(id);
  checkEnabled(project, "logging.googleapis.com");
  const times = /\s*AND\s*timestamp>="[^"]*"|timestamp>="[^"]*"\s*AND\s*/g;
  const filter = String(body.filter ?? "")
    .replaceAll(times, "")
    .replace(/^\((.*)\)$/, "$1")
    .trim();
  return { entries: project.log.filter((entry) => filter === "" || matches(filter, entry)).reverse() };
}

const SCHEDULER = routes("cloudscheduler.googleapis.com/v1/projects/{project}/locations/{location}", {
  "GET /jobs/{job}": (call) => jobOf(call),
  "GET /jobs": ({ project }) => ({ jobs: Object.values(project.jobs) }),
  "POST /jobs": ({ project, body }) => {
    const job = body as Job;
    if (project.jobs[job.name]) throw exists(job.name);
    checkJob(project, job);
    project.jobs[job.name] = { ...job, state: "ENABLED" };
    return project.jobs[job.name];
  },
  "PATCH /jobs/{job}": (call) => {
    const job = { ...jobOf(call), ...(call.body as Job) };
    checkJob(call.project, job);
    call.project.jobs[call.name] = job;
    return job;
  },
  "DELETE /jobs/{job}": (call) => {
    jobOf(call);
    delete call.project.jobs[call.name];
    return {};
  },
});

const LOGGING = routes("logging.googleapis.com/v2", {
  "POST /entries:list": entries,
  "GET /projects/{project}/metrics/{metric}": ({ project, params: { metric = "" } }) =>
    found(project.metrics, metric, new GoogleError(404, `Metric ${metric} does not exist.`)).body,
  "POST /projects/{project}/metrics": ({ project, body }) => {
    if (project.metrics[body.name]) throw exists(body.name);
    demand(body.filter, "A metric needs a filter.");
    project.metrics[body.name] = { body, askedFor: 0 };
    return body;
  },
  "PUT /projects/{project}/metrics/{metric}": ({ project, body, params: { metric = "" } }) => {
    const { askedFor = 0 } = project.metrics[metric] ?? {};
    project.metrics[metric] = { body, askedFor };
    return body;
  },
});

const ALERTS = routes("monitoring.googleapis.com/v3/projects/{project}", {
  "POST /notificationChannels": ({ project, body }) => {
    demand(body.type === "email" && body.labels?.email_address, "A channel needs a type and its labels.");
    const name = `projects/${project.id}/notificationChannels/${project.number}${Object.keys(project.channels).length}`;
    project.channels[name] = { ...body, name };
    return project.channels[name];
  },
  "GET /alertPolicies": ({ project, query }) => {
    const [, wanted] = /^user_labels\.alert="(.*)"$/.exec(query.get("filter") ?? "") ?? [];
    const policies = Object.values(project.alertPolicies) as { userLabels?: { alert?: string } }[];
    return {
      alertPolicies: policies.filter(({ userLabels }) => wanted === undefined || userLabels?.alert === wanted),
    };
  },
  "POST /alertPolicies": (call) => {
    const { project, body } = call;
    checkMetrics(call);
    for (const channel of body.notificationChannels ?? []) found(project.channels, channel);
    const name = `projects/${project.id}/alertPolicies/${Object.keys(project.alertPolicies).length + 1}`;
    project.alertPolicies[name] = { ...body, name };
    return project.alertPolicies[name];
  },
  "GET /alertPolicies/{policy}": ({ project, name }) => found(project.alertPolicies, name),
  "PATCH /alertPolicies/{policy}": (call) => {
    const { project, name, body } = call;
    const before = found(project.alertPolicies, name);
    checkMetrics(call);
    project.alertPolicies[name] = { ...before, ...body, name };
    return project.alertPolicies[name];
  },
});

const dashboardName = ({ project, params }: Call) => `projects/${project.number}/dashboards/${params.dashboard}`;

const DASHBOARDS = routes("monitoring.googleapis.com/v1/projects/{project}", {
  "GET /dashboards": ({ project }) => ({ dashboards: Object.values(project.dashboards) }),
  "GET /dashboards/{dashboard}": (call) => found(call.project.dashboards, dashboardName(call)),
  "POST /dashboards": ({ project, body }) => {
    const name = `projects/${project.number}/dashboards/${randomUUID()}`;
    project.dashboards[name] = { ...body, name, etag: "0" };
    return project.dashboards[name];
  },
  "PATCH /dashboards/{dashboard}": (call) => {
    const name = dashboardName(call);
    found(call.project.dashboards, name);
    call.project.dashboards[name] = { ...call.body, name };
    return call.project.dashboards[name];
  },
});

export const OPERATIONS: Route[] = [...SCHEDULER, ...LOGGING, ...ALERTS, ...DASHBOARDS];
