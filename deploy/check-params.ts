/**
 * `npm run check:params`: rejects params that would deploy but not work. `firebase deploy` runs it as a predeploy step,
 * with the project that it deploys to in GCLOUD_PROJECT.
 */
import { resolve } from "node:path";
import { Command } from "commander";
import { deploymentParamProblems } from "./param-problems.js";

const { project, directory } = new Command("npm run check:params --")
  .description("Checks the params of a project as firebase deploy reads them.")
  .helpOption("--help", "show this help")
  .option("--project <id>", "the project, not an alias of it", process.env.GCLOUD_PROJECT)
  .option("--directory <path>", "the folder with firebase.json", process.env.PROJECT_DIR ?? ".")
  .parse()
  .opts<{ project?: string; directory: string }>();

if (project === undefined) {
  console.error("Name the project: npm run check:params -- --project your-project");
  process.exit(1);
}
const problems = deploymentParamProblems({ project, directory: resolve(directory) });
if (problems.length > 0) {
  console.error(`\nThe params for ${project} can't be deployed:`);
  for (const problem of problems) console.error(`  ${problem}`);
  process.exitCode = 1;
} else {
  console.log(`The params for ${project} are right.`);
}
