import { Consent, open, useConsent, withdraw } from "consent-service-widget/react";

export function App() {
  const counted = useConsent("analytics");
  return (
    <main>
      <p id="visits">Visits are {counted ? "counted" : "not counted"}.</p>
      <Consent purpose="preferences" fallback={<p>The map is shown if you allow preferences.</p>}>
        <iframe title="Our office" src="map.html" />
      </Consent>
      <button onClick={open}>Cookie settings</button>
      <button onClick={withdraw}>Withdraw</button>
    </main>
  );
}
