import { load } from "consent-service-widget";
import { createSSRApp } from "vue";
import App from "./App.vue";

load({ service: "https://consent.example.com", site: "SITE_KEY" });
createSSRApp(App).mount("#app");
