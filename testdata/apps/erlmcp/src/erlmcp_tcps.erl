%% @doc The quality gates: what the tests measured when this version was built, against what the environment asks for.
-module(erlmcp_tcps).

-export([status/0, judge/2]).

status() ->
    case file:consult(filename:join(code:priv_dir(erlmcp), "quality.config")) of
        {ok, Measured} -> judge(application:get_env(erlmcp, tcps, disabled), maps:from_list(Measured));
        {error, Reason} -> {error, iolist_to_binary(["quality.config: ", file:format_error(Reason)])}
    end.

%% @doc disabled, ok, or {error, Why}.
judge(disabled, _) ->
    disabled;
judge(Gates, Measured) ->
    case [G || G = {Name, Least} <- lists:sort(maps:to_list(Gates)), maps:get(Name, Measured, 0) < Least] of
        [] -> ok;
        [{Name, Least} | _] ->
            {error, iolist_to_binary(io_lib:format("~s is ~w, want ~w", [Name, maps:get(Name, Measured, 0), Least]))}
    end.
