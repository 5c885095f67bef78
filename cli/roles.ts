/** `npm run roles`: grants and revokes the roles of viewers and operators, in the cloud or in the Authentication emulator. */
import { Command } from "commander";
import { accountsWithRole, setRole } from "../functions/src/adapters/firebase/accounts.js";
import { ROLES, type Role } from "../functions/src/operator-api/roles.js";
import { readAddress } from "../services/cli-options.js";

const program = new Command("npm run roles --")
  .description(`Grants and revokes the roles of the operators' console and API: ${ROLES.join(", ")}.`)
  .helpOption("--help", "show this help")
  .option("--project <id>", "the Firebase project", process.env.GCLOUD_PROJECT ?? "demo-diet-orchestrator")
  .option(
    "--emulator <host:port>",
    "the Authentication emulator (default for demo- projects: 127.0.0.1:9099)",
    readAddress,
  );

program
  .command("grant <email> <role>")
  .description("give an account this role, in place of any other")
  .action(async (email: string, role: string) => {
    if (!ROLES.includes(role as Role))
      throw new Error(`There is no role ${role}; the roles are ${ROLES.join(" and ")}.`);
    await setRole(email, role as Role);
    console.log(`${email} is ${role} now, from the next sign-in.`);
  });

program
  .command("revoke <email>")
  .description("revoke the role of an account")
  .action(async (email: string) => {
    await setRole(email, undefined);
    console.log(`${email} has no role now. An open console may keep showing orders for up to an hour.`);
  });

program
  .command("list")
  .description("list all accounts with a role")
  .action(async () => {
    let shown = 0;
    for await (const { name, role } of accountsWithRole()) {
      console.log(`${name}  ${role}`);
      shown++;
    }
    if (shown === 0) console.log("No account has a role.");
  });

program.hook("preAction", () => {
  const { project, emulator } = program.opts<{ project: string; emulator?: string }>();
  const host = emulator ?? (project.startsWith("demo-") ? "127.0.0.1:9099" : undefined);
  if (host) {
    process.env.FIREBASE_AUTH_EMULATOR_HOST = host;
    process.env.METADATA_SERVER_DETECTION = "none";
  }
  process.env.GCLOUD_PROJECT = project;
  // Google rejects a person's own credentials if a request does not name the project whose quota it uses.
  process.env.GOOGLE_CLOUD_QUOTA_PROJECT ??= project;
});

try {
  await program.parseAsync();
} catch (error) {
  const { code } = error as { code?: string };
  const isUnknown = code === "auth/user-not-found";
  console.error(isUnknown ? "No account has this address. Create the account first." : messageOf(error));
  process.exitCode = 1;
}

/** Google's full error message: firebase-admin drops the part of an unknown message up to its first colon. */
function messageOf(error: unknown): string {
  type Failure = { code?: string; message: string; httpResponse?: { data?: { error?: { message?: string } } } };
  const { code, message, httpResponse } = error as Failure;
  return (code === "auth/internal-error" && httpResponse?.data?.error?.message) || message;
}
