import { load } from "consent-service-widget";
import { hydrate } from "svelte";
import App from "./App.svelte";

load({ service: "https://consent.example.com", site: "SITE_KEY" });
hydrate(App, { target: document.getElementById("app")! });
