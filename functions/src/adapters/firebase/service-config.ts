/** gRPC's service config: one connection at a time, and the retry policy of each method. */

/** A retry policy: how often and how fast to retry, and after which status codes. Durations are text such as "0.2s". */
export interface RetryPolicy {
  maxAttempts: number;
  initialBackoff: string;
  maxBackoff: string;
  backoffMultiplier: number;
  retryableStatusCodes: string[];
}

/** When retries stop because most calls fail, for the whole channel. */
interface RetryThrottling {
  maxTokens: number;
  tokenRatio: number;
}

/** The service config as the channel option takes it. Each method is named by its path, such as "/food.v1.OrderService/GetOrder". */
export function serviceConfig(
  retries: { methods: { path: string }[]; retryPolicy: RetryPolicy }[],
  retryThrottling?: RetryThrottling,
): string {
  const methodConfig = retries.map(({ methods, retryPolicy }) => ({
    name: methods.map(({ path }) => {
      const [, service, method] = path.split("/");
      return { service, method };
    }),
    retryPolicy,
  }));
  return JSON.stringify({ loadBalancingConfig: [{ pick_first: {} }], methodConfig, retryThrottling });
}
