-- Accounts and their public keys, in the control database. auth.md §13.1, §13.2.

CREATE TABLE principal (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('account', 'user')),
  UNIQUE (id, kind)
);

CREATE TABLE account (
  uuid uuid PRIMARY KEY,
  kind text NOT NULL DEFAULT 'account' CHECK (kind = 'account'),
  login text COLLATE "C" UNIQUE NOT NULL,
  email text NOT NULL,
  approved boolean NOT NULL,
  groups text[] NOT NULL DEFAULT '{}',
  snaplinks_disabled_at timestamptz,
  tokens_not_before timestamptz NOT NULL DEFAULT '-infinity',
  rev bigint NOT NULL DEFAULT 1,
  FOREIGN KEY (uuid, kind) REFERENCES principal (id, kind) ON DELETE CASCADE
);

CREATE TABLE public_key (
  principal uuid NOT NULL REFERENCES principal ON DELETE CASCADE,
  md5_fp text NOT NULL,
  sha256_fp text NOT NULL,
  name text COLLATE "C" NOT NULL,
  spki bytea NOT NULL,
  algorithm text NOT NULL CHECK (algorithm IN ('rsa', 'ecdsa', 'ed25519')),
  PRIMARY KEY (principal, sha256_fp),
  UNIQUE (principal, md5_fp),
  UNIQUE (principal, name)
);

-- Every change of an account or of what lies below it moves its revision and is announced, whoever makes it: views are
-- dropped on the announcement, and by the revision where an announcement was missed.
CREATE FUNCTION account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.rev := OLD.rev + 1;
  PERFORM pg_notify('manta_auth', NEW.uuid::text);
  RETURN NEW;
END $$;

CREATE TRIGGER account_changed BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION account_changed();

CREATE FUNCTION public_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- account_pkey
  UPDATE account SET rev = rev WHERE uuid IN (OLD.principal, NEW.principal);
  RETURN NULL;
END $$;

CREATE TRIGGER public_key_changed AFTER INSERT OR UPDATE OR DELETE ON public_key
  FOR EACH ROW EXECUTE FUNCTION public_key_changed();

-- The keys of a principal as a view is built from them. public_key_principal_name_key
CREATE FUNCTION keys_of_v1(p_principal uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'name', name, 'algorithm', algorithm, 'md5Fingerprint', md5_fp, 'sha256Fingerprint', sha256_fp,
           'spki', encode(spki, 'base64')) ORDER BY name), '[]'::jsonb)
    FROM public_key WHERE principal = p_principal
$$;

-- One account with its keys, by login (account_login_key) or by uuid (account_pkey); no row when there is none.
CREATE FUNCTION account_by_login_v1(p_login text)
RETURNS TABLE (uuid uuid, login text, email text, approved boolean, groups text[], snaplinks_disabled boolean,
               rev bigint, keys jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.uuid, a.login, a.email, a.approved, a.groups, a.snaplinks_disabled_at IS NOT NULL, a.rev, keys_of_v1(a.uuid)
    FROM account a WHERE a.login = p_login
$$;

CREATE FUNCTION account_by_uuid_v1(p_uuid uuid)
RETURNS TABLE (uuid uuid, login text, email text, approved boolean, groups text[], snaplinks_disabled boolean,
               rev bigint, keys jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.uuid, a.login, a.email, a.approved, a.groups, a.snaplinks_disabled_at IS NOT NULL, a.rev, keys_of_v1(a.uuid)
    FROM account a WHERE a.uuid = p_uuid
$$;

-- The revision alone, to confirm a view. account_pkey
CREATE FUNCTION account_rev_v1(p_uuid uuid) RETURNS TABLE (rev bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.rev FROM account a WHERE a.uuid = p_uuid
$$;

-- A page of accounts in order of login, after the one named. account_login_key
CREATE FUNCTION list_accounts_v1(p_after text, p_limit int)
RETURNS TABLE (uuid uuid, login text, approved boolean, groups text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.uuid, a.login, a.approved, a.groups FROM account a WHERE a.login > p_after ORDER BY a.login LIMIT p_limit
$$;

-- Creates the account (under p_uuid) or changes it; NULL keeps a value. A p_new_login renames. Outcomes: created,
-- changed (also when nothing had to), absent (nothing to rename), email_required (nothing to create without),
-- login_taken. Repeating a rename finds the account under its new login. account_login_key
CREATE FUNCTION put_account_v1(p_login text, p_uuid uuid, p_email text, p_approved boolean, p_groups text[],
                               p_snaplinks_disabled boolean, p_new_login text)
RETURNS TABLE (outcome text, account_uuid uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  found_account account;
  v_login text := p_login;
BEGIN
  LOOP
    SELECT * INTO found_account FROM account a WHERE a.login = v_login FOR UPDATE;
    EXIT WHEN found_account.uuid IS NOT NULL;
    IF p_new_login <> v_login THEN
      v_login := p_new_login;
      CONTINUE;
    ELSIF p_new_login IS NOT NULL AND p_new_login <> p_login THEN
      RETURN QUERY SELECT 'absent', NULL::uuid;
      RETURN;
    ELSIF p_email IS NULL THEN
      RETURN QUERY SELECT 'email_required', NULL::uuid;
      RETURN;
    END IF;
    INSERT INTO principal (id, kind) VALUES (p_uuid, 'account');
    INSERT INTO account (uuid, login, email, approved, groups, snaplinks_disabled_at)
    VALUES (p_uuid, p_login, p_email, coalesce(p_approved, true), coalesce(p_groups, '{}'),
            CASE WHEN p_snaplinks_disabled THEN clock_timestamp() END)
    ON CONFLICT (login) DO NOTHING;
    IF FOUND THEN
      RETURN QUERY SELECT 'created', p_uuid;
      RETURN;
    END IF;
    DELETE FROM principal WHERE id = p_uuid; -- somebody else created it meanwhile: change that one
  END LOOP;

  UPDATE account a
     SET login = coalesce(p_new_login, a.login), email = coalesce(p_email, a.email),
         approved = coalesce(p_approved, a.approved), groups = coalesce(p_groups, a.groups),
         snaplinks_disabled_at = CASE
           WHEN p_snaplinks_disabled THEN coalesce(a.snaplinks_disabled_at, clock_timestamp())
           WHEN NOT p_snaplinks_disabled THEN NULL
           ELSE a.snaplinks_disabled_at END
   WHERE a.uuid = found_account.uuid
     AND (a.login, a.email, a.approved, a.groups, a.snaplinks_disabled_at IS NOT NULL) IS DISTINCT FROM
         (coalesce(p_new_login, a.login), coalesce(p_email, a.email), coalesce(p_approved, a.approved),
          coalesce(p_groups, a.groups), coalesce(p_snaplinks_disabled, a.snaplinks_disabled_at IS NOT NULL));
  RETURN QUERY SELECT 'changed', found_account.uuid;
EXCEPTION WHEN unique_violation THEN
  RETURN QUERY SELECT 'login_taken', NULL::uuid;
END $$;

-- Gives the account's key of that name these bytes. Outcomes: put (also when it was there already), absent (no such
-- account), duplicate (the account has this key under another name). account_login_key, public_key_principal_name_key
CREATE FUNCTION put_key_v1(p_login text, p_name text, p_algorithm text, p_md5 text, p_sha256 text, p_spki bytea)
RETURNS TABLE (outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_account uuid;
BEGIN
  SELECT a.uuid INTO v_account FROM account a WHERE a.login = p_login FOR UPDATE;
  IF v_account IS NULL THEN
    RETURN QUERY SELECT 'absent';
    RETURN;
  END IF;
  INSERT INTO public_key AS k (principal, md5_fp, sha256_fp, name, spki, algorithm)
  VALUES (v_account, p_md5, p_sha256, p_name, p_spki, p_algorithm)
  ON CONFLICT (principal, name) DO UPDATE
    SET md5_fp = EXCLUDED.md5_fp, sha256_fp = EXCLUDED.sha256_fp, spki = EXCLUDED.spki, algorithm = EXCLUDED.algorithm
    WHERE k.sha256_fp <> EXCLUDED.sha256_fp;
  RETURN QUERY SELECT 'put';
EXCEPTION WHEN unique_violation THEN
  RETURN QUERY SELECT 'duplicate';
END $$;

-- Takes a key from the account. Outcomes: deleted (also when it was not there), absent (no such account).
-- account_login_key, public_key_principal_name_key
CREATE FUNCTION delete_key_v1(p_login text, p_name text) RETURNS TABLE (outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_account uuid;
BEGIN
  SELECT a.uuid INTO v_account FROM account a WHERE a.login = p_login FOR UPDATE;
  IF v_account IS NULL THEN
    RETURN QUERY SELECT 'absent';
    RETURN;
  END IF;
  DELETE FROM public_key WHERE principal = v_account AND name = p_name;
  RETURN QUERY SELECT 'deleted';
END $$;

REVOKE ALL ON FUNCTION keys_of_v1(uuid), account_by_login_v1(text), account_by_uuid_v1(uuid), account_rev_v1(uuid),
  list_accounts_v1(text, int), put_account_v1(text, uuid, text, boolean, text[], boolean, text),
  put_key_v1(text, text, text, text, text, bytea), delete_key_v1(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_by_login_v1(text), account_by_uuid_v1(uuid), account_rev_v1(uuid),
  list_accounts_v1(text, int), put_account_v1(text, uuid, text, boolean, text[], boolean, text),
  put_key_v1(text, text, text, text, text, bytea), delete_key_v1(text, text) TO manta_webapi;
GRANT SELECT ON principal, account, public_key TO manta_webapi;
