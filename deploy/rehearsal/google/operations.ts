/** Cloud Scheduler, Cloud Logging and Cloud Monitoring. */
import { randomUUID } from "node:crypto";
import { scheduleProblem } from "../../cloud-schedule.js";
import { matches } from "../../log-filter.js";
import { exists, GoogleError, invalid, notFound } from "./errors.js";
import { checkAccount, type Job, type Project } from "./project.js";
import { type Call, checkEnabled, type Route } from "./route.js";

const SCHEDULER = "cloudscheduler.googleapis.com";
const LOGGING = "logging.googleapis.com";
const MONITORING = "monitoring.googleapis.com";
const JOBS = "/v1/projects/{project}/locations/{location}/jobs";

function checkJob(project: Project, { schedule, timeZone = "UTC", httpTarget, attemptDeadline = "180s" }: Job): void {
  if (scheduleProblem(schedule ?? "") !== undefined) throw invalid("Schedule or time zone is invalid.");
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    throw invalid("Schedule or time zone is invalid.");
  }
  if (!/^https?:\/\//.test(httpTarget?.uri ?? "")) throw invalid("HttpTarget.uri must be a valid URL.");
  checkAccount(project, httpTarget.oidcToken?.serviceAccountEmail ?? "");
  const seconds = Number(/^(\d+)s$/.exec(attemptDeadline)?.[1]);
  if (!(seconds >= 15 && seconds <= 1800))
    throw invalid("The attempt deadline must be between 15 seconds and 30 minutes.");
}

const jobName = ({ project, params }: Call) => `projects/${project.id}/locations/${params.location}/jobs/${params.job}`;

function jobOf(call: Call): Job {
  const job = call.project.jobs[jobName(call)];
  if (!job) throw new GoogleError(404, "Job not found.");
  return job;
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

function metricName({ params: { metric = "" } }: Call): string {
  return metric;
}

function entries({ google, body }: Call): object {
  const [, id = ""] = /^projects\/([^/]+)$/.exec(body.resourceNames?.[0] ?? body.projectIds?.[0] ?? "") ?? [];
  const project = google.find(id);
  checkEnabled(project, LOGGING);
  const times = /\s*AND\s*timestamp>="[^"]*"|timestamp>="[^"]*"\s*AND\s*/g;
  const filter = String(body.filter ?? "")
    .replaceAll(times, "")
    .replace(/^\((.*)\)$/, "$1")
    .trim();
  return { entries: project.log.filter((entry) => filter === "" || matches(filter, entry)).reverse() };
}

export const OPERATIONS: Route[] = [
  // Cloud Scheduler
  { method: "GET", host: SCHEDULER, path: `${JOBS}/{job}`, answer: (call) => jobOf(call) },
  { method: "GET", host: SCHEDULER, path: JOBS, answer: ({ project }) => ({ jobs: Object.values(project.jobs) }) },
  {
    method: "POST",
    host: SCHEDULER,
    path: JOBS,
    answer: ({ project, body }) => {
      const job = body as Job;
      if (project.jobs[job.name]) throw exists(job.name);
      checkJob(project, job);
      project.jobs[job.name] = { ...job, state: "ENABLED" };
      return project.jobs[job.name];
    },
  },
  {
    method: "PATCH",
    host: SCHEDULER,
    path: `${JOBS}/{job}`,
    answer: (call) => {
      const job = { ...jobOf(call), ...(call.body as Job) };
      checkJob(call.project, job);
      call.project.jobs[jobName(call)] = job;
      return job;
    },
  },
  {
    method: "DELETE",
    host: SCHEDULER,
    path: `${JOBS}/{job}`,
    answer: (call) => {
      jobOf(call);
      delete call.project.jobs[jobName(call)];
      return {};
    },
  },

  // Cloud Logging
  { method: "POST", host: LOGGING, path: "/v2/entries:list", answer: entries },
  {
    method: "GET",
    host: LOGGING,
    path: "/v2/projects/{project}/metrics/{metric}",
    answer: (call) => {
      const metric = call.project.metrics[metricName(call)];
      if (!metric) throw new GoogleError(404, `Metric ${metricName(call)} does not exist.`);
      return metric.body;
    },
  },
  {
    method: "POST",
    host: LOGGING,
    path: "/v2/projects/{project}/metrics",
    answer: ({ project, body }) => {
      if (project.metrics[body.name]) throw exists(body.name);
      if (!body.filter) throw invalid("A metric needs a filter.");
      project.metrics[body.name] = { body, askedFor: 0 };
      return body;
    },
  },
  {
    method: "PUT",
    host: LOGGING,
    path: "/v2/projects/{project}/metrics/{metric}",
    answer: (call) => {
      const { askedFor = 0 } = call.project.metrics[metricName(call)] ?? {};
      call.project.metrics[metricName(call)] = { body: call.body, askedFor };
      return call.body;
    },
  },

  // Cloud Monitoring
  {
    method: "POST",
    host: MONITORING,
    path: "/v3/projects/{project}/notificationChannels",
    answer: ({ project, body }) => {
      if (body.type !== "email" || !body.labels?.email_address) throw invalid("A channel needs a type and its labels.");
      const name = `projects/${project.id}/notificationChannels/${project.number}${Object.keys(project.channels).length}`;
      project.channels[name] = { ...body, name };
      return project.channels[name];
    },
  },
  {
    method: "GET",
    host: MONITORING,
    path: "/v3/projects/{project}/alertPolicies",
    answer: ({ project, query }) => {
      const [, wanted] = /^user_labels\.alert="(.*)"$/.exec(query.get("filter") ?? "") ?? [];
      const policies = Object.values(project.alertPolicies) as { userLabels?: { alert?: string } }[];
      return {
        alertPolicies: policies.filter(({ userLabels }) => wanted === undefined || userLabels?.alert === wanted),
      };
    },
  },
  {
    method: "POST",
    host: MONITORING,
    path: "/v3/projects/{project}/alertPolicies",
    answer: (call) => {
      const { project, body } = call;
      checkMetrics(call);
      for (const channel of body.notificationChannels ?? []) {
        if (!project.channels[channel]) throw notFound(channel);
      }
      const name = `projects/${project.id}/alertPolicies/${Object.keys(project.alertPolicies).length + 1}`;
      project.alertPolicies[name] = { ...body, name };
      return project.alertPolicies[name];
    },
  },
  {
    method: "GET",
    host: MONITORING,
    path: "/v3/projects/{project}/alertPolicies/{policy}",
    answer: ({ project, params }) => {
      const name = `projects/${project.id}/alertPolicies/${params.policy}`;
      const found = project.alertPolicies[name];
      if (!found) throw notFound(name);
      return found;
    },
  },
  {
    method: "PATCH",
    host: MONITORING,
    path: "/v3/projects/{project}/alertPolicies/{policy}",
    answer: (call) => {
      const name = `projects/${call.project.id}/alertPolicies/${call.params.policy}`;
      if (!call.project.alertPolicies[name]) throw notFound(name);
      checkMetrics(call);
      call.project.alertPolicies[name] = { ...call.project.alertPolicies[name], ...call.body, name };
      return call.project.alertPolicies[name];
    },
  },
  {
    method: "GET",
    host: MONITORING,
    path: "/v1/projects/{project}/dashboards",
    answer: ({ project }) => ({ dashboards: Object.values(project.dashboards) }),
  },
  {
    method: "GET",
    host: MONITORING,
    path: "/v1/projects/{project}/dashboards/{dashboard}",
    answer: ({ project, params }) => {
      const name = `projects/${project.number}/dashboards/${params.dashboard}`;
      const found = project.dashboards[name];
      if (!found) throw notFound(name);
      return found;
    },
  },
  {
    method: "POST",
    host: MONITORING,
    path: "/v1/projects/{project}/dashboards",
    answer: ({ project, body }) => {
      const name = `projects/${project.number}/dashboards/${randomUUID()}`;
      project.dashboards[name] = { ...body, name, etag: "0" };
      return project.dashboards[name];
    },
  },
  {
    method: "PATCH",
    host: MONITORING,
    path: "/v1/projects/{project}/dashboards/{dashboard}",
    answer: ({ project, params, body }) => {
      const name = `projects/${project.number}/dashboards/${params.dashboard}`;
      if (!project.dashboards[name]) throw notFound(name);
      project.dashboards[name] = { ...body, name };
      return project.dashboards[name];
    },
  },
];
