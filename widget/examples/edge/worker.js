// A worker in front of the site: what stands under /analytics/ is reached only with consent.
import { allows, createEdge } from "consent-service-widget/edge";

const edge = createEdge({ service: "https://consent.example.com", site: "SITE_KEY" });

export default {
  async fetch(request) {
    if (new URL(request.url).pathname.startsWith("/analytics/")) {
      const cookies = request.headers.get("Cookie") ?? "";
      const token = /(?:^|;\s*)consent_edge=([^;]*)/.exec(cookies)?.[1];
      const verdict = await edge.decide(token, { gpc: request.headers.get("Sec-GPC") === "1" });
      if (!allows(verdict, "analytics")) return new Response("No consent.", { status: 403 });
    }
    return fetch(request);
  },
};
