import type { Purpose } from "../config";
import { isEssential, purposes } from "../config";
import type { Choices } from "../../consent-service";
import { attempt } from "../dom";

function declares({ services }: Purpose, name: string): boolean {
  const declared = services.flatMap(({ cookies }) => cookies);
  return declared.some((cookie) =>
    cookie.name.endsWith("*") ? name.startsWith(cookie.name.slice(0, -1)) : name === cookie.name,
  );
}

/** `a.b.c` with `.` gives `a.b.c`, `b.c`, `c`. */
function parents(text: string, separator: string): string[] {
  return text.split(separator).map((_, index, parts) => parts.slice(index).join(separator));
}

/** Deletes a cookie wherever this page may have set it: for each folder above it, its host and the domains above. */
function expire(name: string): void {
  const folders = location.pathname.split("/").map((_, index, parts) => parts.slice(0, index + 1).join("/"));
  for (const domain of ["", ...parents(location.hostname, ".")]) {
    for (const path of folders.flatMap((folder) => [folder, folder + "/"])) {
      // The second names beginning with `__Secure-` ask for; the third reaches those kept apart by top-level site.
      for (const more of ["", ";secure", ";secure;partitioned"]) {
        document.cookie = `${name}=;max-age=0;path=${path};domain=${domain}${more}`;
      }
    }
  }
}

/** Deletes the cookies, and what is stored under the same names, that only purposes not allowed declare. */
export function deleteRefused(choices: Choices): void {
  const isRefused = (name: string): boolean => {
    const owners = [...purposes.essential, ...purposes.optional].filter((purpose) => declares(purpose, name));
    return !!owners[0] && !owners.some(({ key }) => isEssential(key) || choices[key]);
  };
  attempt(() => {
    for (const pair of document.cookie.split("; ")) {
      const name = pair.split("=")[0]!;
      if (isRefused(name)) expire(name);
    }
  });
  for (const storage of ["localStorage", "sessionStorage"] as const) {
    attempt(() => {
      for (const name of Object.keys(window[storage])) if (isRefused(name)) window[storage].removeItem(name);
    });
  }
}
