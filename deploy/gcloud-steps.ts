/** The gcloud commands that get a project ready. Each can be run again: what is there already is left as it is. */
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

/** Everything here is as the arguments of gcloud. */
export interface Step {
  /** What it does, as shown in the output. */
  does: string;
  /** Prints something if the step is already done. */
  find?: string[];
  run: string[];
  /** What runs instead if the step is already done; nothing if undefined. */
  renew?(found: string): string[];
  /** What is wrong with what is there already; undefined when it can be used. */
  problem?(found: string): string | undefined;
}

export interface Place {
  project: string;
  /** Its number, which the addresses of Google's own accounts have in them. */
  number: string;
  /** Where the functions run. */
  region: string;
}

/** What the Firebase CLI, gcloud and the functions call. The CLI waits at least ten seconds for each that it must enable itself. */
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

/** Google enables at most twenty at a time. */
const API_GROUP = 12;

const groupsOf = (size: number, names: readonly string[]) =>
  Array.from({ length: Math.ceil(names.length / size) }, (_, at) => names.slice(at * size, (at + 1) * size));

const MONITORING = "deploy/monitoring";

/** Google's own accounts that bring events and ticks, and what each needs to do so. */
const SERVICE_AGENTS = [
  { api: "pubsub.googleapis.com", agent: "gcp-sa-pubsub", role: "roles/iam.serviceAccountTokenCreator" },
  { api: "eventarc.googleapis.com", agent: "gcp-sa-eventarc", role: "roles/eventarc.serviceAgent" },
  { api: "cloudscheduler.googleapis.com", agent: "gcp-sa-cloudscheduler", role: "roles/cloudscheduler.serviceAgent" },
];

/** The places of Firestore that are more than one region, with the regions that functions may run in. */
const MULTI_REGIONS: Record<string, readonly string[]> = {
  nam5: ["us-central1", "us-east1"],
  eur3: ["europe-west1", "europe-west4"],
};

/** A function that documents trigger must run where the database is, and a database can't be moved. */
function placeProblem(location: string, region: string): string | undefined {
  if (!/^[a-z0-9-]+$/.test(location)) return undefined;
  if (location === region || MULTI_REGIONS[location]?.includes(region)) return undefined;
  const regions = MULTI_REGIONS[location] ?? [location];
  return `The database (default) is in ${location}, and can't be moved: the functions must run there too. Set REGION, --region and the rewrite in firebase.json to ${regions.join(" or ")}, or use another project.`;
}

/** What depends on the params of a project. */
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
    does: `${member.split("@")[0]} gets ${role}`,
    run: gcloud`projects add-iam-policy-binding ${project} --member ${member} --role ${role} --condition=None`,
  });
  return [
    ...groupsOf(API_GROUP, wanted.apis).map((apis) => ({
      does: `enables ${apis.map((api) => api.replace(".googleapis.com", "")).join(", ")}`,
      run: gcloud`services enable ${apis} --project ${project}`,
    })),
    {
      does: `makes the database, in ${region}, with seven days to go back to`,
      find: gcloud`firestore databases describe --database=(default) --format=value(locationId) --project ${project}`,
      problem: (location) => placeProblem(location, region),
      run: gcloud`firestore databases create --database=(default) --type=firestore-native
        --location=${region} --enable-pitr --delete-protection --project ${project}`,
    },
    ...TOPICS.map((topic) => ({
      does: `makes the topic ${topic}`,
      find: gcloud`pubsub topics describe ${topic} --format=value(name) --project ${project}`,
      run: gcloud`pubsub topics create ${topic} --project ${project}`,
    })),
    ...wanted.secrets.map((secret) => ({
      does: `makes the secret ${secret}, empty`,
      find: gcloud`secrets describe ${secret} --format=value(name) --project ${project}`,
      // The label tells the Firebase CLI that it may add versions.
      run: gcloud`secrets create ${secret} --replication-policy=automatic
        --labels=firebase-managed=functions --project ${project}`,
    })),
    ...SERVICE_AGENTS.flatMap(({ api, agent, role }) => [
      {
        does: `makes Google's account for ${api}`,
        run: gcloud`beta services identity create --service ${api} --project ${project}`,
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
          does: `makes the account ${accountOf(name)}`,
          find: gcloud`iam service-accounts describe ${address} --format=value(name) --project ${project}`,
          run: gcloud`iam service-accounts create ${accountOf(name)}
            --display-name ${name} --description ${ACCESS[name].work} --project ${project}`,
        },
        ...projectRoles(name).map((role) => projectRole(member, role)),
        ...ACCESS[name].publishes.map((topic) => ({
          does: `${accountOf(name)} may publish to ${topic}`,
          run: gcloud`pubsub topics add-iam-policy-binding ${topic}
            --member ${member} --role roles/pubsub.publisher --project ${project}`,
        })),
        ...wanted.secrets.map((secret) => ({
          does: `${accountOf(name)} may read ${secret}`,
          run: gcloud`secrets add-iam-policy-binding ${secret}
            --member ${member} --role roles/secretmanager.secretAccessor --project ${project}`,
        })),
      ];
    }),
  ];
}

/** After the first deploy, when the services are there: each function's account may call that function, and no other. */
export function invokerSteps({ project, region }: Place): Step[] {
  return FUNCTION_NAMES.filter(callsItself).map((name) => ({
    does: `${accountOf(name)} may call ${name}`,
    // A function's service has its name in small letters.
    run: gcloud`run services add-iam-policy-binding ${name.toLowerCase()} --region ${region}
      --member ${`serviceAccount:${accountAddress(name, project)}`} --role roles/run.invoker --project ${project}`,
  }));
}

/** Who deploys must be allowed to let functions run as their accounts; owners are already. */
export function deployerSteps(deployer: string, { project }: Place): Step[] {
  return FUNCTION_NAMES.map((name) => ({
    does: `${deployer} may deploy as ${accountOf(name)}`,
    run: gcloud`iam service-accounts add-iam-policy-binding ${accountAddress(name, project)}
      --member ${deployer} --role roles/iam.serviceAccountUser --project ${project}`,
  }));
}

/** Metrics, alerts and the dashboard from the files in deploy/monitoring. The metrics first: the others are made of them. */
export function monitoringSteps({ project }: Pick<Place, "project">, channels: string[]): Step[] {
  const metrics = namesIn("metrics").map((name) => {
    const file = `${MONITORING}/metrics/${name}.json`;
    return {
      does: `keeps the metric ${name}`,
      find: gcloud`logging metrics describe ${name} --format=value(name) --project ${project}`,
      run: gcloud`logging metrics create ${name} --config-from-file=${file} --project ${project}`,
      renew: () => gcloud`logging metrics update ${name} --config-from-file=${file} --project ${project}`,
    };
  });
  const alerts = namesIn("alerts").map((name) => {
    const file = `${MONITORING}/alerts/${name}.json`;
    const notified = (option: string) => (channels.length === 0 ? [] : [`--${option}=${channels.join(",")}`]);
    const filter = `user_labels.alert="${name}"`;
    return {
      does: `keeps the alert ${name}`,
      find: gcloud`alpha monitoring policies list --filter=${filter} --format=value(name) --project ${project}`,
      run: gcloud`alpha monitoring policies create --policy-from-file=${file}
        ${notified("notification-channels")} --project ${project}`,
      renew: (found: string) => gcloud`alpha monitoring policies update ${found} --policy-from-file=${file}
        ${notified("set-notification-channels")} --project ${project}`,
    };
  });
  const dashboard = `${MONITORING}/dashboard.json`;
  const filter = 'displayName="diet-orchestrator"';
  return [
    ...metrics,
    ...alerts,
    {
      does: "keeps the dashboard",
      find: gcloud`monitoring dashboards list --filter=${filter} --format=value(name) --project ${project}`,
      run: gcloud`monitoring dashboards create --config-from-file=${dashboard} --project ${project}`,
      renew: (found: string) =>
        gcloud`monitoring dashboards update ${found} --config-from-file=${dashboard} --project ${project}`,
    },
  ];
}

/** The files of a folder of deploy/monitoring, without their endings: what they describe has the same names. */
export function namesIn(folder: "metrics" | "alerts"): string[] {
  return readdirSync(`${MONITORING}/${folder}`)
    .map((file) => file.replace(/\.json$/, ""))
    .sort();
}
