import { readFile } from "node:fs/promises";
import { credentials, loadPackageDefinition, Metadata, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { ProtoGrpcType } from "./grpc_types/classifier.ts";

const token = (await readFile("camera.token", "utf8")).trim();
const image = await readFile(process.argv[2] ?? "rose.jpg");

const definition = loadSync("classifier.proto", { keepCase: true, longs: Number, defaults: true });
const { cnnsvc } = loadPackageDefinition(definition) as unknown as ProtoGrpcType;
const client = new cnnsvc.v1.Classifier("127.0.0.1:8500", credentials.createInsecure());

const metadata = new Metadata();
metadata.set("authorization", `Bearer ${token}`);
client.Classify({ images: [image], top_k: 2 }, metadata, { deadline: Date.now() + 5000 }, (error, answer) => {
  if (error) {
    const [kind = status[error.code]] = error.metadata.get("cnnsvc-error-kind"); // none where nobody answered
    console.error(`${kind}: ${error.details}`);
    process.exitCode = 1;
  } else {
    for (const { name, score } of answer!.results[0].classes) console.log(name, score);
  }
  client.close();
});
