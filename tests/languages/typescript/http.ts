import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { paths } from "./http_types.ts";

const token = (await readFile("camera.token", "utf8")).trim();
const image = await readFile(process.argv[2] ?? "rose.jpg");

const client = createClient<paths>({
  baseUrl: "http://127.0.0.1:8501",
  headers: { Authorization: `Bearer ${token}` },
});
const { data, error } = await client.POST("/api/v1/classify", {
  params: { query: { top_k: 2 }, header: { "X-Request-Timeout-Ms": 5000 } },
  headers: { "Content-Type": "application/octet-stream" },
  body: "", // binary is a string in the types; the bytes go out as they are
  bodySerializer: () => image,
  signal: AbortSignal.timeout(5000),
});
if (error) {
  console.error(`${error.kind}: ${error.detail}`);
  process.exitCode = 1;
} else {
  for (const { name, score } of data.results[0].classes) console.log(name, score);
}
