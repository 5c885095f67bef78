/** `npm run roles`: says who may look at orders and who may decide about them, in the cloud or in the Authentication emulator. */
import { Command } from "commander";
import { accountsWithRole, setRole } from "../functions/src/adapters/firebase/accounts.js";
import { ROLES, type Role } from "../functions/src/operator-api/roles.js";
import { readAddress } from "../services/cli-options.js";

const program = new Command("npm run roles --")
  .description(`Grants and takes the roles of the operators' page and API: ${ROLES.join(", ")}.`)
  .helpOption("--help", "show this")
  .option("--project <id>", "the Firebase project", process.env.GCLOUD_PROJECT ?? "demo-diet-orchestrator")
  .option(
    "--emulator <host:port>",
    "the Authentication emulator (default for demo- projects: 127.0.0.1:9099)",
    readAddress,
  );

program
  .command("grant <email> <role>")
  .description("gives somebody who has an account this role, and takes any other")
  .action(async (email: string, role: string) => {
    if (!ROLES.includes(role as Role)) throw new Error(`There is no role ${role}; there are ${ROLES.join(" and ")}.`);
    await setRole(email, role as Role);
    console.log(`${email} is ${role} now, from their next sign-in on.`);
  });

program
  .command("take <email>")
  .description("takes the role of somebody")
  .action(async (email: string) => {
    await setRole(email, undefined);
    console.log(`${email} has no role now. What is open may stay so for up to an hour.`);
  });

program
  .command("list")
  .description("shows everybody who has a role")
  .action(async () => {
    let shown = 0;
    for await (const { name, role } of accountsWithRole()) {
      console.log(`${name}  ${role}`);
      shown++;
    }
    if (shown === 0) console.log("Nobody has a role.");
  });

program.hook("preAction", () => {
  const { project, emulator } = program.opts<{ project: string; emulator?: string }>();
  const host = emulator ?? (project.startsWith("demo-") ? "127.0.0.1:9099" : undefined);
  if (host) {
    process.env.FIREBASE_AUTH_EMULATOR_HOST = host;
    process.env.METADATA_SERVER_DETECTION = "none";
  }
  process.env.GCLOUD_PROJECT = project;
  // Google refuses a person's own credentials when a request does not say which project's quota it uses.
  process.env.GOOGLE_CLOUD_QUOTA_PROJECT ??= project;
});

try {
  await program.parseAsync();
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  const isUnknown = code === "auth/user-not-found";
  console.error(isUnknown ? "Nobody has an account with this address: they must have one first." : message);
  process.exitCode = 1;
}
