/** What the API's document says of an answer. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { default as formats } from "ajv-formats";
import type { ApiResponse } from "../../functions/src/operator-api/api.js";
import { openApiDocument } from "../../functions/src/operator-api/openapi.js";

const ajv = new Ajv2020({ strict: false });
(formats as unknown as (ajv: Ajv2020) => void)(ajv);
ajv.addSchema(openApiDocument(), "api");
const validators = new Map<string, ValidateFunction>();

/** How an answer differs from what the document promises for this method and path; undefined if it does not. */
export function complaintAbout(
  method: string,
  path: string,
  { status, headers, body }: ApiResponse,
): string | undefined {
  const pointer = [
    "paths",
    path,
    method.toLowerCase(),
    "responses",
    String(status),
    "content",
    headers["Content-Type"] ?? "",
    "schema",
  ];
  const ref = `api#/${pointer.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")}`;
  try {
    const validate = validators.get(ref) ?? ajv.compile({ $ref: ref });
    validators.set(ref, validate);
    return validate(body) ? undefined : ajv.errorsText(validate.errors);
  } catch (error) {
    return (error as Error).message;
  }
}
