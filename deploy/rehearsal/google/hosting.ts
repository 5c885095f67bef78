/** Firebase Hosting: sites, versions, the upload of files, releases. */
import { randomUUID } from "node:crypto";
import { exists, invalid, notFound } from "./errors.js";
import type { Project } from "./project.js";
import type { Call, Route } from "./route.js";

const HOSTING_API = "firebasehosting.googleapis.com";

interface Rewrite {
  run?: { serviceId: string; region: string; tag?: string };
}

function siteOf({ project, params }: Call): object {
  const site = project.sites[params.site ?? ""];
  if (!site) throw notFound(`projects/${project.id}/sites/${params.site}`);
  return { name: `projects/${project.id}/sites/${params.site}`, defaultUrl: `https://${params.site}.web.app`, ...site };
}

/** A rewrite must lead to a service that is there. */
function checkRewrites(project: Project, config: { rewrites?: Rewrite[] } | undefined): void {
  for (const { run } of config?.rewrites ?? []) {
    if (!run) continue;
    const service = project.run[`projects/${project.id}/locations/${run.region}/services/${run.serviceId}`];
    if (!service)
      throw invalid(`Invalid rewrite: the Cloud Run service ${run.serviceId} does not exist in ${run.region}.`);
    if (run.tag && !service.tags[run.tag])
      throw invalid(`Invalid rewrite: ${run.serviceId} has no revision with the tag ${run.tag}.`);
  }
}

const versionName = ({ params }: Call) => `sites/${params.site}/versions/${params.version}`;

/** Versions are named without their project: a site's name is unique. */
function projectOfSite({ google, params }: Call): Project {
  const found = [...google.projects.values()].find(({ sites }) => sites[params.site ?? ""]);
  if (!found) throw notFound(`sites/${params.site}`);
  return found;
}

function versionOf(call: Call) {
  const project = projectOfSite(call);
  const version = project.versions[versionName(call)];
  if (!version) throw notFound(versionName(call));
  return { project, version };
}

function release(call: Call): object {
  const project = projectOfSite(call);
  const name = (call.query.get("versionName") ?? "").replace(/^projects\/[^/]+\//, "");
  const version = project.versions[name];
  if (!version) throw notFound(name);
  if (version.status !== "FINALIZED") throw invalid("The version must be finalized before it is released.");
  checkRewrites(project, version.config);
  const site = project.sites[call.params.site ?? ""];
  if (site) site.liveVersion = name;
  return { name: `sites/${call.params.site}/channels/live/releases/${randomUUID()}`, version: { name, ...version } };
}

const PREFIXES = ["/v1beta1", "/v1beta1/projects/{project}"];

export const HOSTING: Route[] = [
  {
    method: "GET",
    host: HOSTING_API,
    path: "/v1beta1/projects/{project}/sites",
    answer: ({ project }) => ({
      sites: Object.entries(project.sites).map(([id, site]) => ({
        name: `projects/${project.id}/sites/${id}`,
        ...site,
      })),
    }),
  },
  { method: "GET", host: HOSTING_API, path: "/v1beta1/projects/{project}/sites/{site}", answer: siteOf },
  {
    method: "POST",
    host: HOSTING_API,
    path: "/v1beta1/projects/{project}/sites",
    answer: (call) => {
      const { google, project, query } = call;
      const id = query.get("siteId") ?? "";
      if ([...google.projects.values()].some(({ sites }) => sites[id])) throw exists(id);
      const type = Object.keys(project.sites).length === 0 ? "DEFAULT_SITE" : "USER_SITE";
      if (query.get("validateOnly") !== "true") project.sites[id] = { type };
      return { name: `projects/${project.id}/sites/${id}`, type, defaultUrl: `https://${id}.web.app` };
    },
  },
  ...PREFIXES.flatMap((prefix): Route[] => [
    {
      method: "POST",
      host: HOSTING_API,
      path: `${prefix}/sites/{site}/versions`,
      answer: (call) => {
        const project = projectOfSite(call);
        const name = `sites/${call.params.site}/versions/${randomUUID().slice(0, 16).replaceAll("-", "")}`;
        project.versions[name] = { status: "CREATED", files: {}, ...(call.body as object) };
        return { name: `projects/${project.number}/${name}`, status: "CREATED" };
      },
    },
    {
      method: "POST",
      host: HOSTING_API,
      path: `${prefix}/sites/{site}/versions/{version}:populateFiles`,
      answer: (call) => {
        const { version } = versionOf(call);
        Object.assign(version.files, call.body.files);
        return {
          uploadRequiredHashes: [...new Set(Object.values(call.body.files as Record<string, string>))],
          uploadUrl: `https://upload-firebasehosting.googleapis.com/upload/${versionName(call)}/files`,
        };
      },
    },
    {
      method: "PATCH",
      host: HOSTING_API,
      path: `${prefix}/sites/{site}/versions/{version}`,
      answer: (call) => {
        const { project, version } = versionOf(call);
        Object.assign(version, call.body);
        if (version.status === "FINALIZED") checkRewrites(project, version.config);
        return { name: versionName(call), ...version };
      },
    },
    { method: "POST", host: HOSTING_API, path: `${prefix}/sites/{site}/releases`, answer: release },
    { method: "POST", host: HOSTING_API, path: `${prefix}/sites/{site}/channels/{channel}/releases`, answer: release },
    {
      method: "GET",
      host: HOSTING_API,
      path: `${prefix}/sites/{site}/versions`,
      answer: (call) => ({
        versions: Object.entries(projectOfSite(call).versions).map(([name, version]) => ({ name, ...version })),
      }),
    },
    {
      method: "GET",
      host: HOSTING_API,
      path: `${prefix}/sites/{site}/channels/{channel}`,
      answer: (call) => {
        const project = projectOfSite(call);
        const { liveVersion = "" } = project.sites[call.params.site ?? ""] ?? {};
        return {
          name: `sites/${call.params.site}/channels/live`,
          release: { version: { name: liveVersion, ...project.versions[liveVersion] } },
        };
      },
    },
  ]),
  {
    method: "POST",
    host: "upload-firebasehosting.googleapis.com",
    path: "/upload/sites/{site}/versions/{version}/files/{hash}",
    answer: (call) => {
      versionOf(call);
      if (call.bytes.length === 0) throw invalid("The file is empty.");
      return {};
    },
  },
];
