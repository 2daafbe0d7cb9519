import type { Choices } from "../consent-service";
import type { Purpose } from "./config";
import { purposes } from "./config";
import { attempt } from "./dom";

function declares({ services }: Purpose, name: string): boolean {
  const declared = services.flatMap(({ cookies }) => cookies);
  return declared.some((cookie) =>
    cookie.name.endsWith("*") ? name.startsWith(cookie.name.slice(0, -1)) : name === cookie.name,
  );
}

/** Deletes a cookie wherever this page may have set it: on its own path or the root, for its host or a parent domain. */
function expire(name: string): void {
  // Names beginning with `__Secure-` are only taken with this; plain pages may not say it.
  const secure = location.protocol === "https:" ? ";secure" : "";
  const domains = location.hostname.split(".").map((_, index, parts) => `;domain=${parts.slice(index).join(".")}`);
  for (const domain of ["", ...domains]) {
    for (const path of ["", ";path=/"]) document.cookie = `${name}=;max-age=0${path}${domain}${secure}`;
  }
}

/**
 * Deletes the cookies that only purposes not allowed declare.
 *
 * @param choices - every purpose, essential ones too
 */
export function deleteRefusedCookies(choices: Choices): void {
  attempt(() => {
    for (const pair of document.cookie.split("; ")) {
      const name = pair.split("=")[0]!;
      const owners = [...purposes.essential, ...purposes.optional].filter((purpose) => declares(purpose, name));
      if (owners[0] && !owners.some(({ key }) => choices[key])) expire(name);
    }
  });
}
