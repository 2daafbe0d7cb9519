-- Verifies the service's token (value.mac, HMAC-SHA256 in base64url) and answers. Nothing else:
-- no expiry, no newest choice, no region. libcrypto is the one that nginx itself is linked with.

local ffi = require "ffi"

if not package.loaded.token_check then
   ffi.cdef [[
      const void *EVP_sha256(void);
      unsigned char *HMAC(const void *evp_md, const void *key, int key_len,
                          const unsigned char *d, size_t n, unsigned char *md, unsigned int *len);
   ]]
   package.loaded.token_check = {
      sha256 = ffi.C.EVP_sha256(),
      mac = ffi.new("unsigned char[32]"),
      length = ffi.new("unsigned int[1]"),
      key = token_key:gsub("..", function(hex) return string.char(tonumber(hex, 16)) end),
      cookie = "cookie_" .. token_cookie,
   }
end
local state = package.loaded.token_check

local URL_SAFE = { ["+"] = "-", ["/"] = "_", ["="] = "" }

local function verified(token)
   local dot = token:find(".", 1, true)
   if not dot then
      return false
   end
   local value = token:sub(1, dot - 1)
   ffi.C.HMAC(state.sha256, state.key, #state.key, value, #value, state.mac, state.length)
   local mac = ngx.encode_base64(ffi.string(state.mac, 32)):gsub("[+/=]", URL_SAFE)
   return mac == token:sub(dot + 1)
end

local token = ngx.var[state.cookie]
local allow = token ~= nil and verified(token)
local body = '{"allow":' .. tostring(allow) .. ',"decisions":{"analytics":{"allow":'
   .. tostring(allow) .. ',"reason":"' .. (allow and "granted" or "invalid_token")
   .. '"}},"regime":"opt_in","notice_version":1,"gpc":false,"max_age":60}'
ngx.header["Content-Length"] = #body
ngx.header["Cache-Control"] = "no-store"
ngx.print(body)
