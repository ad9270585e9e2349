%% @doc How this node misbehaves on request: by priv/fault.config (built in), by the application's env `faults', by
%% variables ERLMCP_NAME; what comes later wins.
-module(erlmcp_fault).

-compile({no_auto_import, [get/1]}).

-export([load/0, get/1, ignore_term/0, crash_later/0, duration/1, parse/2]).

-define(KEY, {?MODULE, faults}).

defaults() ->
    #{health => healthy, mcp => ok, fail_start => none, slow_start => 0, slow_stop => 0, crash_after => never,
        garbage => false, brackets => false, redirect => false, ignore_term => false}.

load() ->
    try
        {ok, Built} = file:consult(filename:join(code:priv_dir(erlmcp), "fault.config")),
        Env = [{Name, Value} || Name <- maps:keys(defaults()), Value <- [os:getenv(variable(Name), "")], Value =/= ""],
        All = Built ++ application:get_env(erlmcp, faults, []) ++ Env,
        Faults = lists:foldl(fun({Name, Value}, Acc) -> Acc#{Name => parse(Name, Value)} end, defaults(), All),
        persistent_term:put(?KEY, Faults)
    catch
        throw:{fault, _} = Reason -> {error, Reason};
        error:{badmatch, Reason} -> {error, {fault, Reason}}
    end.

get(Name) ->
    maps:get(Name, persistent_term:get(?KEY, defaults())).

variable(Name) ->
    "ERLMCP_" ++ string:uppercase(atom_to_list(Name)).

%% @doc The value of a fault, written as an atom, a string or a number.
parse(Name, Value) when is_atom(Value) ->
    parse(Name, atom_to_list(Value));
parse(health, Value) ->
    one_of(health, Value, [healthy, degraded, unhealthy]);
parse(mcp, Value) ->
    one_of(mcp, Value, [ok, error, wrong, status]);
parse(fail_start, Value) ->
    one_of(fail_start, Value, [none, error, halt]);
parse(Name, Value) when Name =:= slow_start; Name =:= slow_stop; Name =:= crash_after ->
    case duration(Value) of
        error -> throw({fault, {Name, Value, "want a duration such as 3s or 200ms"}});
        Ms -> Ms
    end;
parse(Name, Value) ->
    case maps:is_key(Name, defaults()) of
        true -> not lists:member(Value, ["0", "false", 0]);
        false -> throw({fault, {Name, "is unknown", maps:keys(defaults())}})
    end.

one_of(Name, Value, Known) ->
    case [K || K <- Known, atom_to_list(K) =:= Value] of
        [K] -> K;
        [] -> throw({fault, {Name, Value, Known}})
    end.

%% @doc Milliseconds of a text such as 3s, 200ms, 2m.
duration(Text) ->
    case string:to_integer(Text) of
        {N, "ms"} when is_integer(N), N >= 0 -> N;
        {N, "s"} when is_integer(N), N >= 0 -> N * 1000;
        {N, "m"} when is_integer(N), N >= 0 -> N * 60000;
        _ -> error
    end.

ignore_term() ->
    case get(ignore_term) of
        true -> os:set_signal(sigterm, ignore);
        false -> ok
    end.

crash_later() ->
    case get(crash_after) of
        never -> ok;
        Ms -> timer:apply_after(Ms, erlang, apply, [fun crash/0, []])
    end.

crash() ->
    io:format(standard_error, "erlmcp was told to crash~n", []),
    erlang:halt(3).
