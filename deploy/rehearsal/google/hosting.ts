/** Firebase Hosting: sites, versions, the upload of files, releases. */
import { randomUUID } from "node:crypto";
import { demand, exists, found, notFound } from "./errors.js";
import type { Project } from "./project.js";
import { type Call, type Route, routes } from "./route.js";

interface Rewrite {
  run?: { serviceId: string; region: string; tag?: string };
}

function siteOf({ project, name, params: { site = "" } }: Call): object {
  return { name, defaultUrl: `https://${site}.web.app`, ...found(project.sites, site, notFound(name)) };
}

/** A rewrite must lead to a service that is there. */
function checkRewrites(project: Project, config: { rewrites?: Rewrite[] } | undefined): void {
  for (const { run } of config?.rewrites ?? []) {
    if (!run) continue;
    const service = project.run[`projects/${project.id}/locations/${run.region}/services/${run.serviceId}`];
    demand(service, `Invalid rewrite: the Cloud Run service ${run.serviceId} does not exist in ${run.region}.`);
    const isTagged = !run.tag || service.tags[run.tag];
    demand(isTagged, `Invalid rewrite: ${run.serviceId} has no revision with the tag ${run.tag}.`);
  }
}

const versionName = ({ params }: Call) => `sites/${params.site}/versions/${params.version}`;

/** Versions are named without their project: a site's name is unique. */
function projectOfSite({ google, params }: Call): Project {
  const owner = [...google.projects.values()].find(({ sites }) => sites[params.site ?? ""]);
  if (!owner) throw notFound(`sites/${params.site}`);
  return owner;
}

const versionOf = (call: Call) => found(projectOfSite(call).versions, versionName(call));

function release(call: Call): object {
  const project = projectOfSite(call);
  const name = (call.query.get("versionName") ?? "").replace(/^projects\/[^/]+\//, "");
  const version = found(project.versions, name);
  demand(version.status === "FINALIZED", "The version must be finalized before it is released.");
  checkRewrites(project, version.config);
  const site = project.sites[call.params.site ?? ""];
  if (site) site.liveVersion = name;
  return { name: `sites/${call.params.site}/channels/live/releases/${randomUUID()}`, version: { name, ...version } };
}

const SITES = routes("firebasehosting.googleapis.com/v1beta1/projects/{project}", {
  "GET /sites": ({ project }) => ({
    sites: Object.entries(project.sites).map(([id, site]) => ({ name: `projects/${project.id}/sites/${id}`, ...site })),
  }),
  "GET /sites/{site}": siteOf,
  "POST /sites": (call) => {
    const { google, project, query } = call;
    const id = query.get("siteId") ?? "";
    if ([...google.projects.values()].some(({ sites }) => sites[id])) throw exists(id);
    const type = Object.keys(project.sites).length === 0 ? "DEFAULT_SITE" : "USER_SITE";
    if (query.get("validateOnly") !== "true") project.sites[id] = { type };
    return { name: `projects/${project.id}/sites/${id}`, type, defaultUrl: `https://${id}.web.app` };
  },
});

/** The CLI names a site with its project, and without. */
const VERSIONS = ["", "/projects/{project}"].flatMap((project) =>
  routes(`firebasehosting.googleapis.com/v1beta1${project}/sites/{site}`, {
    "POST /versions": (call) => {
      const project = projectOfSite(call);
      const name = `sites/${call.params.site}/versions/${randomUUID().slice(0, 16).replaceAll("-", "")}`;
      project.versions[name] = { status: "CREATED", files: {}, ...(call.body as object) };
      return { name: `projects/${project.number}/${name}`, status: "CREATED" };
    },
    "POST /versions/{version}:populateFiles": (call) => {
      Object.assign(versionOf(call).files, call.body.files);
      return {
        uploadRequiredHashes: [...new Set(Object.values(call.body.files as Record<string, string>))],
        uploadUrl: `https://upload-firebasehosting.googleapis.com/upload/${versionName(call)}/files`,
      };
    },
    "PATCH /versions/{version}": (call) => {
      const version = versionOf(call);
      Object.assign(version, call.body);
      if (version.status === "FINALIZED") checkRewrites(projectOfSite(call), version.config);
      return { name: versionName(call), ...version };
    },
    "POST /releases": release,
    "POST /channels/{channel}/releases": release,
    "GET /versions": (call) => ({
      versions: Object.entries(projectOfSite(call).versions).map(([name, version]) => ({ name, ...version })),
    }),
    "GET /channels/{channel}": (call) => {
      const project = projectOfSite(call);
      const { liveVersion = "" } = project.sites[call.params.site ?? ""] ?? {};
      return {
        name: `sites/${call.params.site}/channels/live`,
        release: { version: { name: liveVersion, ...project.versions[liveVersion] } },
      };
    },
  }),
);

const UPLOADS = routes("upload-firebasehosting.googleapis.com/upload", {
  "POST /sites/{site}/versions/{version}/files/{hash}": (call) => {
    versionOf(call);
    demand(call.bytes.length > 0, "The file is empty.");
    return {};
  },
});

export const HOSTING: Route[] = [...SITES, ...VERSIONS, ...UPLOADS];
