/** The gcloud commands that prepare a project. Each is idempotent: existing resources stay unchanged. */
import { readdirSync } from "node:fs";
import { chosenSecrets } from "../functions/src/config.js";
import { words as gcloud } from "../harness/process/shell.js";
import {
  ACCESS,
  accountAddress,
  accountOf,
  callsItself,
  FUNCTION_NAMES,
  projectRoles,
  SECRETS,
  TOPICS,
} from "./iam.js";

/** One idempotent change of a project. Commands are given as gcloud's arguments. */
export interface Step {
  /** What it does, as shown in the output. */
  description: string;
  /** Prints something if the resource exists. */
  find?: string[];
  create: string[];
  /** Updates an existing resource; without it, an existing resource stays unchanged. */
  update?(found: string): string[];
  /** What is wrong with an existing resource; undefined if it can be used. */
  problem?(found: string): string | undefined;
}

export interface Place {
  project: string;
  /** The project's number, which is part of the addresses of Google's own accounts. */
  number: string;
  /** Where the functions run. */
  region: string;
}

/** The APIs that the Firebase CLI, gcloud and the functions call. The CLI waits at least ten seconds for each that it must enable itself. */
export const APIS = [
  "artifactregistry",
  "cloudbilling",
  "cloudbuild",
  "cloudfunctions",
  "cloudresourcemanager",
  "cloudscheduler",
  "compute",
  "eventarc",
  "firebase",
  "firebaseextensions",
  "firebasehosting",
  "firebaserules",
  "firestore",
  "iam",
  "identitytoolkit",
  "logging",
  "monitoring",
  "pubsub",
  "run",
  "secretmanager",
  "storage",
].map((name) => `${name}.googleapis.com`);

/** Google enables at most twenty APIs at a time. */
const API_GROUP = 12;

const groupsOf = (size: number, names: readonly string[]) =>
  Array.from({ length: Math.ceil(names.length / size) }, (_, at) => names.slice(at * size, (at + 1) * size));

const MONITORING = "deploy/monitoring";

/** Google's own accounts that deliver events and ticks, and the role that each needs. */
const SERVICE_AGENTS = [
  { api: "pubsub.googleapis.com", agent: "gcp-sa-pubsub", role: "roles/iam.serviceAccountTokenCreator" },
  { api: "eventarc.googleapis.com", agent: "gcp-sa-eventarc", role: "roles/eventarc.serviceAgent" },
  { api: "cloudscheduler.googleapis.com", agent: "gcp-sa-cloudscheduler", role: "roles/cloudscheduler.serviceAgent" },
];

/** Firestore's multi-region locations, with the regions in which functions may run. */
const MULTI_REGIONS: Record<string, readonly string[]> = {
  nam5: ["us-central1", "us-east1"],
  eur3: ["europe-west1", "europe-west4"],
};

/** A function with a Firestore trigger must run at the database's location, and a database can't be moved. */
function placeProblem(location: string, region: string): string | undefined {
  if (!/^[a-z0-9-]+$/.test(location)) return undefined;
  if (location === region || MULTI_REGIONS[location]?.includes(region)) return undefined;
  const regions = MULTI_REGIONS[location] ?? [location];
  return `The database (default) is in ${location}, and can't be moved: the functions must run there too. Set REGION, --region and the rewrite in firebase.json to ${regions.join(" or ")}, or use another project.`;
}

/** The parts that depend on a project's params. */
interface Wanted {
  secrets: string[];
  apis: string[];
}

const USUAL: Wanted = { secrets: SECRETS, apis: APIS };

/** The secrets and APIs of a project with these params. */
export function wantedUnder(params: Record<string, string>): Wanted {
  const { VPC_CONNECTOR: connector = "none" } = params;
  return {
    secrets: [...SECRETS, ...chosenSecrets(params).map(({ name }) => name)],
    apis: connector === "none" ? APIS : [...APIS, "vpcaccess.googleapis.com"],
  };
}

/** Before the first deploy: APIs, the database, topics, the secret, accounts and their roles. */
export function prepareSteps({ project, number, region }: Place, wanted: Wanted = USUAL): Step[] {
  const projectRole = (member: string, role: string): Step => ({
    description: `${member.split("@")[0]} gets ${role}`,
    create: gcloud`projects add-iam-policy-binding ${project} --member ${member} --role ${role} --condition=None`,
  });
  return [
    ...groupsOf(API_GROUP, wanted.apis).map((apis) => ({
      description: `enables ${apis.map((api) => api.replace(".googleapis.com", "")).join(", ")}`,
      create: gcloud`services enable ${apis} --project ${project}`,
    })),
    {
      description: `creates the database in ${region}, with seven days of point-in-time recovery`,
      find: gcloud`firestore databases describe --database=(default) --format=value(locationId) --project ${project}`,
      problem: (location) => placeProblem(location, region),
      create: gcloud`firestore databases create --database=(default) --type=firestore-native
        --location=${region} --enable-pitr --delete-protection --project ${project}`,
    },
    ...TOPICS.map((topic) => ({
      description: `creates the topic ${topic}`,
      find: gcloud`pubsub topics describe ${topic} --format=value(name) --project ${project}`,
      create: gcloud`pubsub topics create ${topic} --project ${project}`,
    })),
    ...wanted.secrets.map((secret) => ({
      description: `creates the empty secret ${secret}`,
      find: gcloud`secrets describe ${secret} --format=value(name) --project ${project}`,
      // The label tells the Firebase CLI that it may add versions.
      create: gcloud`secrets create ${secret} --replication-policy=automatic
        --labels=firebase-managed=functions --project ${project}`,
    })),
    ...SERVICE_AGENTS.flatMap(({ api, agent, role }) => [
      {
        description: `creates Google's account for ${api}`,
        create: gcloud`beta services identity create --service ${api} --project ${project}`,
      },
      projectRole(`serviceAccount:service-${number}@${agent}.iam.gserviceaccount.com`, role),
    ]),
    // Cloud Build builds as this account; not every organisation allows that by default.
    projectRole(`serviceAccount:${number}-compute@developer.gserviceaccount.com`, "roles/cloudbuild.builds.builder"),
    ...FUNCTION_NAMES.flatMap((name) => {
      const address = accountAddress(name, project);
      const member = `serviceAccount:${address}`;
      return [
        {
          description: `creates the account ${accountOf(name)}`,
          find: gcloud`iam service-accounts describe ${address} --format=value(name) --project ${project}`,
          create: gcloud`iam service-accounts create ${accountOf(name)}
            --display-name ${name} --description ${ACCESS[name].work} --project ${project}`,
        },
        ...projectRoles(name).map((role) => projectRole(member, role)),
        ...ACCESS[name].publishes.map((topic) => ({
          description: `${accountOf(name)} may publish to ${topic}`,
          create: gcloud`pubsub topics add-iam-policy-binding ${topic}
            --member ${member} --role roles/pubsub.publisher --project ${project}`,
        })),
        ...wanted.secrets.map((secret) => ({
          description: `${accountOf(name)} may read ${secret}`,
          create: gcloud`secrets add-iam-policy-binding ${secret}
            --member ${member} --role roles/secretmanager.secretAccessor --project ${project}`,
        })),
      ];
    }),
  ];
}

/** After the first deploy, when the services exist: each function's account may call that function, and no other. */
export function invokerSteps({ project, region }: Place): Step[] {
  return FUNCTION_NAMES.filter(callsItself).map((name) => ({
    description: `${accountOf(name)} may call ${name}`,
    // Cloud Run lower-cases the name of a function's service.
    create: gcloud`run services add-iam-policy-binding ${name.toLowerCase()} --region ${region}
      --member ${`serviceAccount:${accountAddress(name, project)}`} --role roles/run.invoker --project ${project}`,
  }));
}

/** A deployer must be allowed to act as the functions' accounts; owners already are. */
export function deployerSteps(deployer: string, { project }: Place): Step[] {
  return FUNCTION_NAMES.map((name) => ({
    description: `${deployer} may deploy as ${accountOf(name)}`,
    create: gcloud`iam service-accounts add-iam-policy-binding ${accountAddress(name, project)}
      --member ${deployer} --role roles/iam.serviceAccountUser --project ${project}`,
  }));
}

/** Metrics, alerts and the dashboard from the files in deploy/monitoring. Metrics come first, since the others refer to them. */
export function monitoringSteps({ project }: Pick<Place, "project">, channels: string[]): Step[] {
  const metrics = namesIn("metrics").map((name) => {
    const file = `${MONITORING}/metrics/${name}.json`;
    return {
      description: `creates or updates the metric ${name}`,
      find: gcloud`logging metrics describe ${name} --format=value(name) --project ${project}`,
      create: gcloud`logging metrics create ${name} --config-from-file=${file} --project ${project}`,
      update: () => gcloud`logging metrics update ${name} --config-from-file=${file} --project ${project}`,
    };
  });
  const alerts = namesIn("alerts").map((name) => {
    const file = `${MONITORING}/alerts/${name}.json`;
    const notified = (option: string) => (channels.length === 0 ? [] : [`--${option}=${channels.join(",")}`]);
    const filter = `user_labels.alert="${name}"`;
    return {
      description: `creates or updates the alert ${name}`,
      find: gcloud`alpha monitoring policies list --filter=${filter} --format=value(name) --project ${project}`,
      create: gcloud`alpha monitoring policies create --policy-from-file=${file}
        ${notified("notification-channels")} --project ${project}`,
      update: (found: string) => gcloud`alpha monitoring policies update ${found} --policy-from-file=${file}
        ${notified("set-notification-channels")} --project ${project}`,
    };
  });
  const dashboard = `${MONITORING}/dashboard.json`;
  const filter = 'displayName="diet-orchestrator"';
  return [
    ...metrics,
    ...alerts,
    {
      description: "creates or updates the dashboard",
      find: gcloud`monitoring dashboards list --filter=${filter} --format=value(name) --project ${project}`,
      create: gcloud`monitoring dashboards create --config-from-file=${dashboard} --project ${project}`,
      update: (found: string) =>
        gcloud`monitoring dashboards update ${found} --config-from-file=${dashboard} --project ${project}`,
    },
  ];
}

/** The files of a folder of deploy/monitoring, without extensions: these are also the names of what they describe. */
export function namesIn(folder: "metrics" | "alerts"): string[] {
  return readdirSync(`${MONITORING}/${folder}`)
    .map((file) => file.replace(/\.json$/, ""))
    .sort();
}
