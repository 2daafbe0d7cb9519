import { load } from "consent-service-widget";
import { hydrateRoot } from "react-dom/client";
import { App } from "./App";

load({ service: "https://consent.example.com", site: "SITE_KEY" });
hydrateRoot(document.getElementById("app")!, <App />);
